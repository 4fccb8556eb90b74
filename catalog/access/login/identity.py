"""What a proof says about whoever showed it, and what binding rules make of that (Consul's binding rules page)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from catalog.access.acl.model import BindingRule, NodeIdentity, Rights, ServiceIdentity, TemplatedPolicy
from catalog.access.acl.templates import TemplateError, check_node_name, check_service_name, check_template
from catalog.compile.filter import FilterError, parse_filter
from catalog.compile.selectors import TEXT, TEXTS, Field, Kind, struct

BIND_TYPES = ("service", "node", "role", "policy", "templated-policy")
MAX_BIND_NAME = 512

_VARIABLE = re.compile(r"\$\{\s*([A-Za-z_][\w.\-]*)\s*\}", re.ASCII)

KUBERNETES_FIELDS = struct(serviceaccount=struct(namespace=TEXT, name=TEXT, uid=TEXT))
JWT_FIELDS = struct(value=Field(Kind.MAP, inner=TEXT), list=Field(Kind.MAP, inner=TEXTS))


class BindingError(ValueError):
    """The writer's fault: the rule cannot be; or, at a login, nothing that could be bound comes of it."""


class ProofError(Exception):
    """The caller's fault: what it showed does not prove who it is. The text is for the log, not for the caller."""


class Identity(msgspec.Struct, frozen=True):
    """What is proven: `fields` for selectors, `variables` for names, by the words that a rule uses for them."""

    fields: Mapping[str, Any]
    variables: Mapping[str, str]


class Bound(msgspec.Struct, frozen=True):
    """What the rules of a method give to an identity; roles and policies by name."""

    rights: Rights
    roles: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()


def check_rule(rule: BindingRule, fields: Field, variables: Iterable[str]) -> None:
    """Refuse a rule that could never work for a method with these fields and variables.

    Raises:
        BindingError: its type, selector or name is none.
    """
    if rule.bind_type not in BIND_TYPES:
        raise BindingError(f"BindType {rule.bind_type[:40]!r} is none: use {', '.join(BIND_TYPES)}")
    if not rule.bind_name or len(rule.bind_name) > MAX_BIND_NAME:
        raise BindingError(f"BindName must have 1 to {MAX_BIND_NAME} characters")
    try:
        parse_filter(rule.selector, fields)
    except FilterError as error:
        raise BindingError(f"Selector is invalid: {error}") from error
    filled = dict.fromkeys(variables, "x")
    for text in (rule.bind_name, *rule.bind_vars.values()):
        name = interpolate(text, filled)
        if rule.bind_type != "templated-policy" and text == rule.bind_name:
            _check_name(rule.bind_type, name)
    if rule.bind_vars and rule.bind_type != "templated-policy":
        raise BindingError("BindVars are for BindType templated-policy alone")
    if rule.bind_type == "templated-policy":
        _template(rule, filled)


def bind(rules: Iterable[BindingRule], identity: Identity, datacenter: str) -> Bound:
    """What the rules whose selector holds give to an identity; one that gives nothing that can be is left out.

    Raises:
        BindingError: a rule that holds makes a name that cannot be.
    """
    services: list[ServiceIdentity] = []
    nodes: list[NodeIdentity] = []
    templates: list[TemplatedPolicy] = []
    roles: list[str] = []
    policies: list[str] = []
    for rule in rules:
        if not holds(rule.selector, identity):
            continue
        if rule.bind_type == "templated-policy":
            templates.append(_template(rule, identity.variables))
            continue
        name = _check_name(rule.bind_type, interpolate(rule.bind_name, identity.variables))
        match rule.bind_type:
            case "service":
                services.append(ServiceIdentity(name))
            case "node":
                nodes.append(NodeIdentity(name, datacenter))
            case "role":
                roles.append(name)
            case _:
                policies.append(name)
    rights = Rights(services=tuple(services), nodes=tuple(nodes), templates=tuple(templates))
    return Bound(rights, tuple(roles), tuple(policies))


def holds(selector: str, identity: Identity) -> bool:
    """Whether a selector holds; one that cannot be read, or does not suit what it finds, does not."""
    try:
        return parse_filter(selector)(identity.fields)
    except FilterError:
        return False


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """The text with every `${name}` filled in.

    Raises:
        BindingError: there is no such variable, or a `${` that is none.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in variables:
            raise BindingError(f"there is no variable {match[1][:80]!r} here")
        return variables[match[1]]

    if "${" in _VARIABLE.sub("", text):
        raise BindingError(f"{text[:80]!r}: a variable is written ${{name}}")
    return _VARIABLE.sub(value, text)


def _check_name(bind_type: str, name: str) -> str:
    try:
        if bind_type == "service":
            return check_service_name(name)
        if bind_type == "node":
            return check_node_name(name)
    except TemplateError as error:
        raise BindingError(str(error)) from error
    if not re.fullmatch(r"[A-Za-z0-9\-_/]{1,256}", name, re.ASCII):
        raise BindingError(f"{name[:80]!r} is no name of a {bind_type}")
    return name


def _template(rule: BindingRule, variables: Mapping[str, str]) -> TemplatedPolicy:
    policy = TemplatedPolicy(rule.bind_name, interpolate(rule.bind_vars.get("name", ""), variables))
    try:
        check_template(policy)
    except TemplateError as error:
        raise BindingError(str(error)) from error
    return policy
