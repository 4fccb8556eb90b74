"""Bodies of registrations as changes."""

import msgspec
import pytest

from catalog.api.http.body import decode
from catalog.api.http.errors import BadRequestError
from catalog.api.v1.registration import DeregisterBody, RegisterBody, health_of
from catalog.state.changes import Deregister, Register
from catalog.state.records import Check, Connect, Locality, Node, Proxy, ServiceAddress, ServiceInstance, Weights
from mesh.model.endpoint import Health


def change(body: object) -> Register:
    return decode(msgspec.json.encode(body), RegisterBody).change("dc1")


BODY = {
    "ID": "id",
    "Node": "n1",
    "Address": "192.0.2.1",
    "TaggedAddresses": {"wan": "198.51.100.1"},
    "NodeMeta": {"a": "b"},
    "SkipNodeUpdate": True,
    "Locality": {"Region": "eu", "Zone": "a"},
    "Service": {
        "Kind": "connect-proxy",
        "ID": "p",
        "Service": "web-proxy",
        "Tags": ["t"],
        "Meta": {"m": "n"},
        "Port": 1,
        "Address": "192.0.2.2",
        "SocketPath": "/s",
        "TaggedAddresses": {"lan": {"Address": "192.0.2.3", "Port": 2}},
        "Weights": {"Passing": 3, "Warning": 4},
        "EnableTagOverride": True,
        "Proxy": {
            "DestinationServiceName": "web",
            "DestinationServiceID": "web-1",
            "LocalServicePort": 5,
            "Mode": "transparent",
            "MeshGateway": {"Mode": "local"},
            "Upstreams": [{"DestinationName": "db", "LocalBindPort": 6}],
            "Config": {"any": [1]},
            "Expose": {"Checks": True},
            "TransparentProxy": {"OutboundListenerPort": 7},
        },
        "Connect": {"Native": True},
    },
    "Check": {"Node": "n1", "CheckID": "c", "Name": "C", "Status": "passing", "ServiceID": "p", "Interval": "1s"},
    "Checks": [{"Name": "d", "Definition": {"TCP": "x:1"}}],
}
PROXY = Proxy(
    destination_service_name="web",
    destination_service_id="web-1",
    local_service_port=5,
    mode="transparent",
    config={"any": [1]},
    upstreams=({"DestinationName": "db", "LocalBindPort": 6},),
    mesh_gateway={"Mode": "local"},
    expose={"Checks": True},
    transparent_proxy={"OutboundListenerPort": 7},
)


def test_everything_arrives_where_it_belongs() -> None:
    """Each field of a registration, under Consul's name, in the state's value."""
    assert change(BODY) == Register(
        node=Node(
            "n1",
            "192.0.2.1",
            "id",
            "dc1",
            tagged_addresses={"wan": "198.51.100.1"},
            meta={"a": "b"},
            locality=Locality("eu", "a"),
        ),
        services=(
            ServiceInstance(
                "web-proxy",
                "p",
                tags=("t",),
                meta={"m": "n"},
                port=1,
                address="192.0.2.2",
                socket_path="/s",
                tagged_addresses={"lan": ServiceAddress("192.0.2.3", 2)},
                weights=Weights(3, 4),
                enable_tag_override=True,
                kind="connect-proxy",
                proxy=PROXY,
                connect=Connect(native=True),
            ),
        ),
        checks=(
            Check("c", "C", "n1", Health.PASSING, service_id="p", interval="1s"),
            Check("", "d", definition={"TCP": "x:1"}),
        ),
        skip_node_update=True,
    )


def test_what_is_not_given_is_consuls_default() -> None:
    made = change({"Node": "n1", "Address": "a", "Service": {"Service": "web"}, "Check": {"Name": "c"}})
    assert made.services == (ServiceInstance("web"),)
    assert made.services[0].weights == Weights(1, 1)
    assert made.checks[0].status is Health.CRITICAL
    assert not made.skip_node_update
    assert made.lease_ttl_s == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"Namespace": "team"}, '"Namespace"'),
        ({"Partition": "p"}, '"Partition"'),
        ({"PeerName": "p"}, '"PeerName"'),
        ({"Service": {"Service": "s", "Namespace": "team"}}, '"Service.Namespace"'),
        ({"Check": {"Partition": "p"}}, '"Check.Partition"'),
        ({"Checks": [{"Status": "fine"}]}, '"Checks.Status"'),
    ],
)
def test_other_tenants_and_statuses_are_refused_by_name(body: dict[str, object], field: str) -> None:
    with pytest.raises(BadRequestError, match=field):
        change({"Node": "n1", "Address": "a", **body})


def test_the_default_namespace_is_the_one_there_is() -> None:
    made = change({"Node": "n1", "Address": "a", "Namespace": "default", "Service": {"Service": "s", "Namespace": ""}})
    assert made.services == (ServiceInstance("s"),)


def test_a_deregistration_names_what_goes() -> None:
    body = decode(
        b'{"node": "n1", "serviceid": "s", "CheckID": "c", "Datacenter": "dc1", "Address": "a"}', DeregisterBody
    )
    assert body.change() == Deregister("n1", "s", "c")


@pytest.mark.parametrize(("status", "health"), [("", "critical"), ("passing", "passing"), ("warning", "warning")])
def test_statuses(status: str, health: str) -> None:
    assert health_of(status, "Status") == health
