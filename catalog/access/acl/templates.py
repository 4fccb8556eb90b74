"""The rules behind service identities, node identities and templated policies (Consul's ACL templated policies page)."""

import re
from collections.abc import Mapping

import msgspec

from catalog.access.acl.model import NodeIdentity, ServiceIdentity, TemplatedPolicy

_READ_ALL = 'node_prefix "" {\n  policy = "read"\n}\nservice_prefix "" {\n  policy = "read"\n}\n'
_SERVICE = (
    'service "{name}" {{\n  policy = "write"\n}}\nservice "{name}-sidecar-proxy" {{\n  policy = "write"\n}}\n'
    'service_prefix "" {{\n  policy = "read"\n}}\nnode_prefix "" {{\n  policy = "read"\n}}\n'
)
_NODE = 'node "{name}" {{\n  policy = "write"\n}}\nservice_prefix "" {{\n  policy = "read"\n}}\n'
_GATEWAY = (
    'mesh = "read"\nnode_prefix "" {{\n  policy = "read"\n}}\nservice_prefix "" {{\n  policy = "read"\n}}\n'
    'service "{name}" {{\n  policy = "write"\n}}\n'
)
_NOMAD_SERVER = (
    'acl = "write"\nagent_prefix "" {\n  policy = "read"\n}\nnode_prefix "" {\n  policy = "read"\n}\n'
    'service_prefix "" {\n  policy = "write"\n}\n'
)
_NOMAD_CLIENT = (
    'agent_prefix "" {\n  policy = "read"\n}\nnode_prefix "" {\n  policy = "read"\n}\n'
    'service_prefix "" {\n  policy = "write"\n}\nkey_prefix "" {\n  policy = "read"\n}\n'
)

MAX_NAME = 256
_SERVICE_NAME = re.compile(r"[a-z0-9]([a-z0-9\-_]*[a-z0-9])?", re.ASCII)
_NODE_NAME = re.compile(r"[a-z0-9A-Z]([a-z0-9A-Z\-_.]*[a-z0-9A-Z])?", re.ASCII)


class TemplateError(ValueError):
    """The caller's fault: there is no such template, or its name is missing or none."""


class Template(msgspec.Struct, frozen=True):
    """One template. `rules` has `{name}` where the name goes; one that is not `named` is used as it stands."""

    name: str
    rules: str
    named: bool
    description: str

    @property
    def source(self) -> str:
        """The template as Consul prints it."""
        return self.filled("\0").replace("\0", "{{.Name}}") if self.named else self.rules

    def filled(self, name: str) -> str:
        """The rules for a name."""
        return self.rules.format(name=name) if self.named else self.rules

    @property
    def schema(self) -> str:
        """The JSON schema of its variables, empty if it has none."""
        if not self.named:
            return ""
        return (
            '{"type":"object","properties":{"name":{"type":"string","$ref":"#/definitions/min-length-one"}},'
            '"required":["name"],"definitions":{"min-length-one":{"type":"string","minLength":1}}}'
        )


_ALL = (
    Template("builtin/service", _SERVICE, named=True, description="Gives the token or role permissions to register a service and discover services in the Consul catalog. It also gives the specified service's sidecar proxy the permission to discover and route traffic to other services."),
    Template("builtin/node", _NODE, named=True, description="Gives the token or role permissions for a register an agent/node into the catalog. A node is typically a consul agent but can also be a physical server, cloud instance or a container."),
    Template("builtin/dns", _READ_ALL + 'query_prefix "" {\n  policy = "read"\n}\n', named=False, description="Gives the token or role permissions for the Consul DNS to query services in the network."),
    Template("builtin/nomad-server", _NOMAD_SERVER, named=False, description="Gives the token or role permissions required for integration with a nomad server."),
    Template("builtin/nomad-client", _NOMAD_CLIENT, named=False, description="Gives the token or role permissions required for integration with a nomad client."),
    Template("builtin/api-gateway", _GATEWAY, named=True, description="Gives the token or role permissions for a Consul api gateway"),
)  # fmt: skip

TEMPLATES: Mapping[str, Template] = {template.name: template for template in _ALL}


def check_service_name(name: str) -> str:
    """A name that a service identity may have: lower case, digits, `-` and `_`.

    Raises:
        TemplateError: it is none.
    """
    if len(name) > MAX_NAME or not _SERVICE_NAME.fullmatch(name):
        raise TemplateError(
            f"{name[:80]!r} is no name for a service identity: lower-case letters, digits, '-' and '_', at most {MAX_NAME}"
        )
    return name


def check_node_name(name: str) -> str:
    """A name that a node identity may have.

    Raises:
        TemplateError: it is none.
    """
    if len(name) > MAX_NAME or not _NODE_NAME.fullmatch(name):
        raise TemplateError(f"{name[:80]!r} is no name for a node identity: letters, digits, '-', '_' and '.'")
    return name


def check_template(policy: TemplatedPolicy) -> Template:
    """The template that a templated policy is of.

    Raises:
        TemplateError: there is none, or the name does not suit it.
    """
    template = TEMPLATES.get(policy.template)
    if template is None:
        raise TemplateError(f"no such ACL templated policy with name {policy.template[:80]!r}")
    if template.named:
        if not policy.name:
            raise TemplateError(f"templated policy {template.name}: the variable Name is required")
        (check_node_name if template.name == "builtin/node" else check_service_name)(policy.name)
    elif policy.name:
        raise TemplateError(f"templated policy {template.name} takes no variables")
    return template


def template_rules(policy: TemplatedPolicy) -> str:
    """The rules that a templated policy stands for.

    Raises:
        TemplateError: as `check_template`.
    """
    template = check_template(policy)
    return template.filled(policy.name)


def service_rules(identity: ServiceIdentity) -> str:
    """The rules that a service identity stands for."""
    return _SERVICE.format(name=check_service_name(identity.service))


def node_rules(identity: NodeIdentity) -> str:
    """The rules that a node identity stands for."""
    return _NODE.format(name=check_node_name(identity.node))
