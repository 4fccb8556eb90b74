"""What a token needs to register and deregister, line by line."""

import msgspec
import pytest

from catalog.access.acl.permissions import Permissions
from catalog.access.acl.rules import parse_rules
from catalog.api.http.call import Call
from catalog.api.http.errors import PermissionDeniedError
from catalog.api.v1.permission import require_deregister, require_register
from catalog.state.changes import Deregister, Register
from catalog.state.records import Check, Node, Proxy, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health
from tests.fakes.catalog_calls import make_call

NODE = 'node "n1" {policy="write"}'
WEB = 'service "web" {policy="write"}'
DB = 'service "db" {policy="write"}'
N1 = Node("n1", "10.0.0.1")


def caller(rules: str) -> Call:
    return msgspec.structs.replace(make_call(), authorizer=Permissions(parse_rules(rules), accessor="a"))


def check(service_id: str = "", check_id: str = "c") -> Check:
    return Check(check_id=check_id, name="c", status=Health.PASSING, node="n1", service_id=service_id)


def world() -> State:
    state = State()
    known = Register(N1, (ServiceInstance("web", id="web"), ServiceInstance("db", id="db")), (check("db", "of-db"),))
    state.apply(known, 2, 0.0)
    return state


def proxy() -> ServiceInstance:
    return ServiceInstance("web-proxy", id="p", kind="connect-proxy", proxy=Proxy(destination_service_name="web"))


TABLE = [
    ("a new node", NODE, Register(Node("n1", "10.0.0.2")), True),
    ("a node that changes", WEB, Register(Node("n1", "10.0.0.2"), (ServiceInstance("web"),)), False),
    ("a node that stays", WEB, Register(N1, (ServiceInstance("web", id="web"),)), True),
    ("a node that is skipped", WEB, Register(Node("n1"), (ServiceInstance("web"),), skip_node_update=True), True),
    ("another node", f"{NODE} {WEB}", Register(Node("n2", "10.0.0.1"), (ServiceInstance("web"),)), False),
    ("a service that is not granted", f"{NODE} {WEB}", Register(N1, (ServiceInstance("api"),)), False),
    ("a service in another's place", WEB, Register(N1, (ServiceInstance("web", id="db"),)), False),
    ("the same, by who writes the node", f"{NODE} {WEB}", Register(N1, (ServiceInstance("web", id="db"),)), True),
    ("a proxy", 'service "web-proxy" {policy="write"}', Register(N1, (proxy(),)), False),
    ("a proxy and what it fronts", f'{WEB} service "web-proxy" {{policy="write"}}', Register(N1, (proxy(),)), True),
    ("a node's check", WEB, Register(N1, checks=(check(),)), False),
    ("a node's check by its writer", NODE, Register(N1, checks=(check(),)), True),
    ("a check of one's service", WEB, Register(N1, checks=(check("web"),)), True),
    ("a check of another's service", WEB, Register(N1, checks=(check("db"),)), False),
    ("a check of a service that is not there", WEB, Register(N1, checks=(check("no"),)), False),
    ("a check taken from another", WEB, Register(N1, checks=(check("web", "of-db"),)), False),
    ("a check with its new service", WEB, Register(N1, (ServiceInstance("web", id="w2"),), (check("w2"),)), True),
]


@pytest.mark.parametrize(("what", "rules", "change", "allowed"), TABLE)
def test_to_register(what: str, rules: str, change: Register, allowed: bool) -> None:
    if allowed:
        require_register(caller(rules), change, world())
    else:
        with pytest.raises(PermissionDeniedError, match="lacks permission"):
            require_register(caller(rules), change, world())


@pytest.mark.parametrize(
    ("rules", "change", "allowed"),
    [
        (NODE, Deregister("n1"), True),
        (NODE, Deregister("n1", "db"), True),
        (WEB, Deregister("n1"), False),
        (WEB, Deregister("n1", "web"), True),
        (WEB, Deregister("n1", "db"), False),
        (WEB, Deregister("n1", "no"), False),
        (DB, Deregister("n1", check_id="of-db"), True),
        (WEB, Deregister("n1", check_id="of-db"), False),
        (WEB, Deregister("n1", check_id="no"), False),
        (NODE, Deregister("n2", "web"), False),
    ],
)
def test_to_deregister(rules: str, change: Deregister, allowed: bool) -> None:
    """A refusal names the node, whatever is there: else it would say which service an id is of."""
    if allowed:
        require_deregister(caller(rules), change, world())
    else:
        with pytest.raises(PermissionDeniedError, match=f"'node:write' on \"{change.node}\""):
            require_deregister(caller(rules), change, world())
