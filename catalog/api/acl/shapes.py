"""Tokens, policies, roles and the rest as Consul prints them. What is empty is left out, as Consul does; secrets are not in here."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from catalog.access.acl.model import AclPolicy, AuthMethod, BindingRule, Rights, Role, Token, content_hash
from catalog.access.acl.templates import Template

Json = dict[str, Any]
NameOf = Callable[[str], str]
"""The name of a linked policy or role by its id; empty if it is gone."""


def time_text(epoch_s: float) -> str:
    """A time as Go prints it in JSON (RFC 3339, UTC)."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def links_json(ids: tuple[str, ...], name_of: NameOf) -> list[Json]:
    """Links with their names of now; those whose end is gone are not shown."""
    return [{"ID": one, "Name": name} for one in ids if (name := name_of(one))]


def rights_json(rights: Rights, policy_name: NameOf, role_name: NameOf) -> Json:
    """What gives rights: links, identities, templated policies."""
    shown: Json = {
        "Policies": links_json(rights.policies, policy_name),
        "Roles": links_json(rights.roles, role_name),
        "ServiceIdentities": [
            _with_datacenters({"ServiceName": one.service}, one.datacenters) for one in rights.services
        ],
        "NodeIdentities": [{"NodeName": one.node, "Datacenter": one.datacenter} for one in rights.nodes],
        "TemplatedPolicies": [
            _with_datacenters(
                {"TemplateName": one.template} | ({"TemplateVariables": {"name": one.name}} if one.name else {}),
                one.datacenters,
            )
            for one in rights.templates
        ],
    }
    return {key: value for key, value in shown.items() if value}


def _with_datacenters(shown: Json, datacenters: tuple[str, ...]) -> Json:
    return shown | {"Datacenters": datacenters} if datacenters else shown


def token_json(token: Token, rights: Json, index: tuple[int, int], secret: str) -> Json:
    """A token; `rights` is `rights_json`'s, `secret` what the caller may see of it, `index` created and modified."""
    shown: Json = {"AccessorID": token.accessor, "SecretID": secret, "Description": token.description, **rights}
    shown["Local"] = token.local
    if token.auth_method:
        shown["AuthMethod"] = token.auth_method
    if token.ttl:
        shown["ExpirationTTL"] = token.ttl
    if token.expires_s:
        shown["ExpirationTime"] = time_text(token.expires_s)
    shown["CreateTime"] = time_text(token.created_s)
    shown["Hash"] = content_hash(msgspec.structs.replace(token, secret_sha256=""))
    return shown | _indexes(index)


def policy_json(policy: AclPolicy, index: tuple[int, int], *, with_rules: bool = True) -> Json:
    """A policy; lists leave its rules out."""
    shown: Json = {"ID": policy.id, "Name": policy.name, "Description": policy.description}
    if with_rules:
        shown["Rules"] = policy.rules
    if policy.datacenters:
        shown["Datacenters"] = policy.datacenters
    return shown | {"Hash": content_hash(policy)} | _indexes(index)


def role_json(role: Role, rights: Json, index: tuple[int, int]) -> Json:
    """A role."""
    shown: Json = {"ID": role.id, "Name": role.name, "Description": role.description, **rights}
    return shown | {"Hash": content_hash(role)} | _indexes(index)


def method_json(method: AuthMethod, index: tuple[int, int], *, with_config: bool = True) -> Json:
    """An auth method; lists leave its configuration out. `config` is what may be shown of it."""
    shown: Json = {"Name": method.name, "Type": method.type}
    for name, value in (("DisplayName", method.display_name), ("Description", method.description)):
        if value:
            shown[name] = value
    if method.max_token_ttl:
        shown["MaxTokenTTL"] = method.max_token_ttl
    shown["TokenLocality"] = method.token_locality or "local"
    if method.token_name_format:
        shown["TokenNameFormat"] = method.token_name_format
    if with_config:
        shown["Config"] = method.config
    return shown | _indexes(index)


def rule_json(rule: BindingRule, index: tuple[int, int]) -> Json:
    """A binding rule."""
    shown: Json = {
        "ID": rule.id,
        "Description": rule.description,
        "AuthMethod": rule.auth_method,
        "Selector": rule.selector,
        "BindType": rule.bind_type,
        "BindName": rule.bind_name,
    }
    if rule.bind_vars:
        shown["BindVars"] = rule.bind_vars
    return shown | _indexes(index)


def template_json(template: Template) -> Json:
    """A templated policy."""
    return {
        "TemplateName": template.name,
        "Schema": template.schema,
        "Template": template.source,
        "Description": template.description,
    }


def _indexes(index: tuple[int, int]) -> Json:
    return {"CreateIndex": index[0], "ModifyIndex": index[1]}
