"""Consul's JSON as hosts and endpoints; JSON of any other shape is nothing, never a fault."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.vm.dns.directory import HeldDirectory
from mesh.model.endpoint import Health

NODE = {"Node": "N1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": {"rack": "7"}}
WEB = {
    "Node": NODE,
    "Service": {
        "Service": "Web",
        "Address": "10.9.9.9",
        "Port": 80,
        "Tags": ["V1"],
        "Weights": {"Passing": 5, "Warning": 2},
        "TaggedAddresses": {"consul-virtual": {"Address": "240.0.0.1", "Port": 80}, "lan": {"Address": "10.9.9.9"}},
    },
    "Checks": [{"Status": "passing"}],
}


def directory(lists: dict[str, Any]) -> HeldDirectory:
    return HeldDirectory(lambda path: lists.get(path, []))


def test_an_instance_is_read_whole() -> None:
    (found,) = directory({"/v1/health/service/web": [WEB]}).service("web")
    assert (found.service, found.port, found.tags, found.weight, found.health) == ("Web", 80, {"v1"}, 5, Health.PASSING)
    assert (found.at.text, found.host.name, found.host.place.text, found.host.meta) == (
        "10.9.9.9",
        "N1",
        "10.0.0.1",
        {"rack": "7"},
    )
    (sidecar,) = directory(
        {"/v1/health/connect/web": [{**WEB, "Service": {"Service": "p", "Address": "", "Tags": None}}]}
    ).connect("web")
    assert (sidecar.at.text, sidecar.tags, sidecar.weight) == ("10.0.0.1", frozenset(), 1)
    assert directory({"/v1/health/ingress/web": [WEB]}).ingress("web")


@pytest.mark.parametrize(
    ("statuses", "health", "weight"),
    [
        ([], Health.PASSING, 5),
        (["passing", "warning"], Health.WARNING, 2),
        (["warning", "critical"], Health.CRITICAL, 5),
        (["maintenance"], Health.CRITICAL, 5),
    ],
)
def test_health_is_the_worst_of_the_checks(statuses: list[str], health: Health, weight: int) -> None:
    """A status that we do not know hides the instance."""
    row = {**WEB, "Checks": [{"Status": status} for status in statuses]}
    (found,) = directory({"/v1/health/service/web": [row]}).service("web")
    assert (found.health, found.weight) == (health, weight)


def test_names_of_another_letter_case_are_found_in_the_list_of_all() -> None:
    lists = {"/v1/catalog/services": {"Web": [], "web": [], "WEB": []}, "/v1/health/service/Web": [WEB]}
    assert len(directory(lists).service("web")) == 1
    nodes = {"/v1/catalog/node/n1": None, "/v1/catalog/nodes": [{"Node": "other"}, NODE]}
    host = directory(nodes).node("n1")
    assert host is not None
    assert host.name == "N1"
    assert directory({}).node("n1") is None
    assert directory({"/v1/catalog/node/n1": {"Node": NODE, "Services": {}}}).node("n1") is not None


def test_a_name_is_one_part_of_a_path() -> None:
    """Whatever bytes it has: it cannot ask for another path."""
    asked: list[str] = []
    HeldDirectory(asked.append).service("../../v1/kv/x?a#\udcff")
    assert asked[0] == "/v1/health/service/..%2F..%2Fv1%2Fkv%2Fx%3Fa%23%FF"


def test_virtual_addresses_servers_and_nodes_at_an_address() -> None:
    lists: dict[str, Any] = {
        "/v1/health/service/web": [WEB, WEB],
        "/v1/health/service/consul": [WEB],
        "/v1/catalog/nodes?filter=Address+%3D%3D+%2210.0.0.1%22": [NODE],
    }
    found = directory(lists)
    assert [place.text for place in found.virtual("web")] == ["240.0.0.1"]
    assert [host.name for host in found.name_servers()] == ["N1"]
    assert found.nodes_at(b"\x0a\0\0\1") == ["N1"]
    assert found.services_at(b"\x0a\x09\x09\x09") == []


@pytest.mark.parametrize(
    ("ttl", "ttl_s"), [("10s", 10), ("", None), ("1m0s", None), ("s", None), ("99999999999s", None)]
)
def test_a_prepared_query_is_run_by_the_catalog(ttl: str, ttl_s: int | None) -> None:
    lists = {"/v1/query/near/execute": {"Nodes": [WEB], "DNS": {"TTL": ttl}}}
    found = directory(lists).execute("near")
    assert found is not None
    assert (len(found.endpoints), found.ttl_s) == (1, ttl_s)
    assert directory({}).execute("near") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Node", "Service", "Checks", "Address", "Tags", "Weights", "Passing", "Meta", "Status", "Nodes", "DNS"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read(value: Any) -> None:
    """The catalog may be of another version, or no catalog."""
    found = HeldDirectory(lambda path: value)
    found.service("a")
    found.connect("a")
    found.node("a")
    found.virtual("a")
    found.nodes_at(bytes(4))
    found.name_servers()
    found.execute("a")
