"""The family `/v1/acl`: every endpoint of it, over the same records."""

from catalog.api.acl.policies import PolicyEndpoints
from catalog.api.acl.records import AclRecords
from catalog.api.acl.roles import RoleEndpoints
from catalog.api.acl.secrets import Secrets
from catalog.api.acl.system import SystemEndpoints
from catalog.api.acl.tokens import TokenEndpoints
from catalog.api.api import Api, Paths
from catalog.api.login.binding_rules import BindingRuleEndpoints
from catalog.api.login.methods import MethodEndpoints
from catalog.api.login.sessions import LoginEndpoints


class AclEndpoints:
    """All of it."""

    def __init__(self, api: Api) -> None:
        records, secrets = AclRecords(api), Secrets(reveal=api.gate.acl.reveal_secrets)
        self._parts = (
            SystemEndpoints(api, records, secrets),
            TokenEndpoints(api, records, secrets),
            PolicyEndpoints(api, records),
            RoleEndpoints(api, records),
            MethodEndpoints(api, records),
            BindingRuleEndpoints(api, records),
            LoginEndpoints(api, records, secrets),
        )

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {path: methods for part in self._parts for path, methods in part.paths().items()}
