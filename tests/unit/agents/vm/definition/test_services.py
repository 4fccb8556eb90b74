"""Service definitions: identity, bounds, proxies and sidecars."""

from typing import Any

import pytest

from agents.vm.definition.keys import DefinitionError, read_struct
from agents.vm.definition.services import service_definition, with_sidecar_port
from agents.vm.definition.shapes import ServiceShape
from agents.vm.definition.values import AliasProbe, ServiceDefinition, TcpProbe


def make(**raw: Any) -> ServiceDefinition:
    return service_definition(read_struct(raw, ServiceShape), node="vm1")


def test_id_defaults_to_name_and_checks_are_numbered() -> None:
    """One check is `service:<id>`, several are numbered (Consul's IDs)."""
    service = make(name="web", check={"ttl": "1s"})
    assert (service.id, [check.check_id for check in service.checks]) == ("web", ["service:web"])
    two = make(name="web", id="w1", checks=[{"ttl": "1s"}, {"tcp": "h:1", "interval": "1s"}])
    assert [check.check_id for check in two.checks] == ["service:w1:1", "service:w1:2"]
    assert two.checks[0].service_id == "w1"


def test_an_empty_check_is_no_check() -> None:
    """Some clients send an empty object."""
    assert not make(name="web", check={}).checks


def test_sidecar_gets_consuls_defaults() -> None:
    """The second registration fronts the first on loopback and inherits tags and meta."""
    service = make(
        name="web",
        port=8080,
        tags=["a"],
        meta={"v": "1"},
        connect={"sidecar_service": {"proxy": {"upstreams": [{"destination_name": "db", "local_bind_port": 9191}]}}},
    )
    sidecar = service.sidecar
    assert sidecar is not None
    assert (sidecar.id, sidecar.name, sidecar.kind) == ("web-sidecar-proxy", "web-sidecar-proxy", "connect-proxy")
    assert (sidecar.tags, sidecar.meta) == (("a",), {"v": "1"})
    assert sidecar.proxy == {
        "DestinationServiceName": "web",
        "DestinationServiceID": "web",
        "LocalServiceAddress": "127.0.0.1",
        "LocalServicePort": 8080,
        "Upstreams": [{"DestinationName": "db", "DestinationType": "service", "LocalBindPort": 9191}],
    }
    placed = with_sidecar_port(sidecar, 21000)
    assert placed.port == 21000
    assert [check.probe for check in placed.checks] == [TcpProbe("127.0.0.1", 21000, 10, 10), AliasProbe("web")]
    assert [check.check_id for check in placed.checks] == [f"service:web-sidecar-proxy:{n}" for n in (1, 2)]


def test_a_proxy_can_be_registered_by_hand() -> None:
    """Kind connect-proxy with its destination, in Consul's JSON form."""
    proxy = make(name="p", kind="connect-proxy", port=1, proxy={"destination_service_name": "web"}).proxy
    assert proxy == {"DestinationServiceName": "web"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "a", "id": "x\ny"}, "id"),
        ({"name": "a", "port": 65536}, "port"),
        ({"name": "a", "port": 1, "socket_path": "/x"}, "socket_path"),
        ({"name": "a", "kind": "pony"}, "kind"),
        ({"name": "a", "weights": {"passing": 0}}, "weights"),
        ({"name": "a", "meta": {"consul-x": "1"}}, "reserved"),
        ({"name": "a", "meta": {"a b": "1"}}, "meta"),
        ({"name": "a", "meta": {"a": "x" * 513}}, "512"),
        ({"name": "a", "meta": {f"k{n}": "" for n in range(65)}}, "64"),
        ({"name": "a", "namespace": "team"}, "namespace"),
        ({"name": "a", "kind": "connect-proxy", "port": 1}, "destination_service_name"),
        ({"name": "a", "kind": "connect-proxy", "proxy": {"destination_service_name": "b"}}, "port"),
        ({"name": "a", "proxy": {"destination_service_name": "b"}}, "proxy"),
        ({"name": "a", "connect": {"native": True, "sidecar_service": {}}}, "sidecar"),
        ({"name": "a", "connect": {"sidecar_service": {"id": "x"}}}, "a-sidecar-proxy"),
        ({"name": "a", "connect": {"sidecar_service": {"connect": {"sidecar_service": {}}}}}, "sidecar"),
        (
            {"name": "a", "connect": {"sidecar_service": {"proxy": {"upstreams": [{"destination_name": "b"}]}}}},
            "connect.sidecar_service.proxy.upstreams[0].local_bind_port",
        ),
        ({"name": "a", "checks": [{"id": "x", "ttl": "1s"}, {"id": "x", "ttl": "1s"}]}, "two checks"),
        ({"name": "a", "check": {"ttl": "x"}}, "check.ttl"),
    ],
)
def test_what_cannot_be_registered_is_refused(raw: dict[str, Any], text: str) -> None:
    """Every refusal names the field."""
    with pytest.raises(DefinitionError) as caught:
        make(**raw)
    assert text in str(caught.value)


def test_two_upstreams_cannot_share_a_port() -> None:
    """The second would never be reachable."""
    upstreams = [{"destination_name": name, "local_bind_port": 9000} for name in ("a", "b")]
    with pytest.raises(DefinitionError, match="taken by another upstream"):
        make(name="web", connect={"sidecar_service": {"proxy": {"upstreams": upstreams}}})
