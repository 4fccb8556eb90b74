"""ACL rules: Consul's rule language, as HCL or JSON, to a list of values (Consul's ACL rules reference).

Every rule names a resource, a name or a prefix, and what is allowed. Any text gives rules or a `RuleError`; what is not
understood is refused whole, since a rule that is dropped could be the one that denies.
"""

import enum
import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from catalog.access.acl.hcl import MAX_LENGTH, HclError, parse_hcl
from catalog.access.authorizer import Resource

MAX_RULES = 8192
MAX_NAME = 512


class Policy(enum.IntEnum):
    """What a rule allows; each of the last three includes those before it."""

    DENY = 0
    READ = 1
    LIST = 2
    WRITE = 3


class Rule(msgspec.Struct, frozen=True):
    """One rule. `name` is a prefix if `prefix` says so; resources without names have an empty one that is none."""

    resource: Resource
    name: str
    prefix: bool
    policy: Policy


class RuleError(ValueError):
    """The writer's fault: the text says which rule cannot be read, and why."""


_WHOLE = frozenset({Resource.ACL, Resource.KEYRING, Resource.MESH, Resource.OPERATOR, Resource.PEERING})
_NAMED = frozenset(
    {
        Resource.AGENT,
        Resource.EVENT,
        Resource.KEY,
        Resource.NODE,
        Resource.QUERY,
        Resource.SERVICE,
        Resource.SESSION,
    }
)
_ENTERPRISE = ("namespace", "partition")


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules that a policy's text holds; none for an empty one.

    Raises:
        RuleError: it cannot be read, or asks for what there is not.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(f"rules are longer than {MAX_LENGTH} characters")
    body = _json_body(text) if text.lstrip()[:1] == "{" else _hcl_body(text)
    rules: list[Rule] = []
    for key, values in body.items():
        for rule in _rules_of(key, values):
            rules.append(rule)
            if len(rules) > MAX_RULES:
                raise RuleError(f"more than {MAX_RULES} rules: split them into several policies")
    return tuple(rules)


def _hcl_body(text: str) -> dict[str, list[Any]]:
    try:
        return parse_hcl(text)
    except HclError as error:
        raise RuleError(str(error)) from error


def _json_body(text: str) -> dict[str, list[Any]]:
    try:
        msgspec.json.decode(text)  # strict: no NaN, no half of a surrogate pair
        value = json.loads(text, object_pairs_hook=_body_of)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RuleError(f"neither HCL nor JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _body_of(pairs: list[tuple[str, Any]]) -> dict[str, list[Any]]:
    """An object in the shape that the HCL parser gives: every value in a list, and those of a key that comes twice in one."""
    body: dict[str, list[Any]] = {}
    for key, value in pairs:
        body.setdefault(key, []).extend(value if isinstance(value, list) else [value])
    return body


def _rules_of(key: str, values: Iterable[Any]) -> Iterator[Rule]:
    if key in _ENTERPRISE or key.removesuffix("_prefix") in _ENTERPRISE:
        raise RuleError(f"{key!r}: this catalog has one namespace and one partition; leave the block out")
    prefix = key.endswith("_prefix")
    try:
        resource = Resource(key.removesuffix("_prefix"))
    except ValueError:
        raise RuleError(f"{key[:40]!r} is no resource of the rule language") from None
    if resource in _WHOLE and not prefix:
        for value in values:
            yield Rule(resource, "", prefix=False, policy=_policy(value, key, key))
    elif resource in _NAMED:
        for value in values:
            if not isinstance(value, dict):
                raise RuleError(f'{key}: it takes a name and a block: {key} "name" {{ policy = "read" }}')
            for name, bodies in value.items():
                for body in bodies:
                    yield from _named(resource, key, name, body, prefix=prefix)
    else:
        raise RuleError(f"{key[:40]!r} is no resource of the rule language")


def _named(resource: Resource, key: str, name: str, body: Any, *, prefix: bool) -> Iterator[Rule]:
    where = f'{key} "{name[:80]}"'
    if not isinstance(body, dict):
        raise RuleError(f'{where}: it takes a block with a policy: {{ policy = "read" }}')
    if len(name) > MAX_NAME:
        raise RuleError(f"{where}: a name has at most {MAX_NAME} characters")
    known = {"policy", "intentions"} if resource is Resource.SERVICE else {"policy"}
    for field in body:
        if field not in known:
            raise RuleError(f"{where}: {field[:40]!r} is no field of it")
    policies = [_policy(value, where, key) for value in body.get("policy", ())]
    intentions = [_policy(value, f"{where}: intentions", "intentions") for value in body.get("intentions", ())]
    if not policies and not intentions:
        raise RuleError(f"{where}: it has no policy")
    policy = strictest(policies) if policies else None
    if policy is not None:
        yield Rule(resource, name, prefix, policy)
    if resource is Resource.SERVICE:
        if intentions:
            yield Rule(Resource.INTENTION, name, prefix, strictest(intentions))
        elif policy is not None:  # reading or writing a service includes reading who may call it
            yield Rule(Resource.INTENTION, name, prefix, Policy.DENY if policy is Policy.DENY else Policy.READ)


def _policy(value: Any, where: str, key: str) -> Policy:
    allowed = ("read", "list", "write", "deny") if key in {"key", "key_prefix"} else ("read", "write", "deny")
    if not isinstance(value, str) or value not in allowed:
        shown = value[:40] if isinstance(value, str) else type(value).__name__
        raise RuleError(f"{where}: policy {shown!r} is none: use {', '.join(allowed)}")
    return Policy[value.upper()]


def strictest(policies: Iterable[Policy]) -> Policy:
    """What several rules for the same name come to: deny beats all, else the widest counts (Consul's order)."""
    found = tuple(policies)
    return Policy.DENY if Policy.DENY in found else max(found)
