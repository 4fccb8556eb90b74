"""Bodies of `/v1/acl/*`: their shapes, and the links and identities that they mean.

Clients send back what they read, so that the fields which only the catalog sets are known here, and ignored.
"""

from typing import Any

import msgspec

from catalog.access.acl.model import NodeIdentity, ServiceIdentity, TemplatedPolicy
from catalog.api.http.errors import BadRequestError
from catalog.api.v1.registration import TenantBody
from catalog.compile.entries.duration import Duration, InvalidDurationError, parse_duration


class LinkBody(TenantBody, frozen=True):
    """A link to a policy or a role, by id or by name."""

    id: str = ""
    name: str = ""


class ServiceIdentityBody(TenantBody, frozen=True):
    """One of `ServiceIdentities`."""

    service_name: str = ""
    datacenters: tuple[str, ...] = ()


class NodeIdentityBody(TenantBody, frozen=True):
    """One of `NodeIdentities`."""

    node_name: str = ""
    datacenter: str = ""


class VariablesBody(TenantBody, frozen=True):
    """`TemplateVariables`."""

    name: str = ""


class TemplatedPolicyBody(TenantBody, frozen=True):
    """One of `TemplatedPolicies`."""

    template_name: str = ""
    template_id: str = ""
    template_variables: VariablesBody | None = None
    datacenters: tuple[str, ...] = ()


class RightsBody(TenantBody, frozen=True):
    """What tokens and roles have alike."""

    description: str = ""
    policies: tuple[LinkBody, ...] = ()
    service_identities: tuple[ServiceIdentityBody, ...] = ()
    node_identities: tuple[NodeIdentityBody, ...] = ()
    templated_policies: tuple[TemplatedPolicyBody, ...] = ()
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0

    def services(self) -> tuple[ServiceIdentity, ...]:
        """The service identities."""
        return tuple(ServiceIdentity(one.service_name, one.datacenters) for one in self.service_identities)

    def nodes(self) -> tuple[NodeIdentity, ...]:
        """The node identities."""
        return tuple(NodeIdentity(one.node_name, one.datacenter) for one in self.node_identities)

    def templates(self) -> tuple[TemplatedPolicy, ...]:
        """The templated policies."""
        return tuple(
            TemplatedPolicy(
                one.template_name, one.template_variables.name if one.template_variables else "", one.datacenters
            )
            for one in self.templated_policies
        )


class TokenBody(RightsBody, frozen=True):
    """The body of `PUT /v1/acl/token`, `/token/:accessor` and `/token/:accessor/clone`."""

    accessor_id: str = ""
    secret_id: str = ""
    roles: tuple[LinkBody, ...] = ()
    local: bool = False
    expiration_ttl: Any = ""
    expiration_time: str = ""
    auth_method: str = ""
    auth_method_namespace: str = ""
    create_time: str = ""


class RoleBody(RightsBody, frozen=True):
    """The body of `PUT /v1/acl/role` and `/role/:id`."""

    id: str = ""
    name: str = ""


class PolicyBody(TenantBody, frozen=True):
    """The body of `PUT /v1/acl/policy` and `/policy/:id`."""

    id: str = ""
    name: str = ""
    description: str = ""
    rules: str = ""
    datacenters: tuple[str, ...] = ()
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0


class MethodBody(TenantBody, frozen=True):
    """The body of `PUT /v1/acl/auth-method` and `/auth-method/:name`."""

    name: str = ""
    type: str = ""
    display_name: str = ""
    description: str = ""
    max_token_ttl: Any = ""
    token_locality: str = ""
    token_name_format: str = ""
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    namespace_rules: tuple[dict[str, Any], ...] = ()
    create_index: int = 0
    modify_index: int = 0


class BindingRuleBody(TenantBody, frozen=True):
    """The body of `PUT /v1/acl/binding-rule` and `/binding-rule/:id`."""

    id: str = ""
    description: str = ""
    auth_method: str = ""
    selector: str = ""
    bind_type: str = ""
    bind_name: str = ""
    bind_vars: VariablesBody | None = None
    create_index: int = 0
    modify_index: int = 0


class BootstrapBody(TenantBody, frozen=True):
    """The body of `PUT /v1/acl/bootstrap`."""

    bootstrap_secret: str = ""


class LoginBody(TenantBody, frozen=True):
    """The body of `POST /v1/acl/login`."""

    auth_method: str = ""
    bearer_token: str = ""
    meta: dict[str, str] = msgspec.field(default_factory=dict)


def duration_of(value: object, field: str) -> Duration:
    """A duration in a body: Go's text, or nanoseconds; empty is none.

    Raises:
        BadRequestError: it is no duration.
    """
    if not value:
        return Duration(0)
    try:
        return parse_duration(value)
    except InvalidDurationError as error:
        raise BadRequestError(f'field "{field}": {error}') from error
