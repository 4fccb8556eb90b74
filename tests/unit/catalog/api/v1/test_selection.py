"""`tag`, `node-meta` and `near`."""

from typing import Any

import pytest

from catalog.api.http.query import Query, parse_query
from catalog.api.v1.selection import is_merged, merged, nearest_first, of_nodes, with_central, with_tags
from catalog.state.records import Node, ServiceInstance
from tests.fakes.config_entries import Entries


def query(raw: str) -> Query:
    return parse_query(raw.encode(), datacenter="dc1")


INSTANCES = [ServiceInstance("web", f"web-{n}", tags=tags) for n, tags in enumerate([("V1", "a"), ("v1",), ()])]
NODES = [Node("n1", meta={"rack": "7", "zone": "b"}), Node("n2", meta={"rack": "7"}), Node("n3")]


@pytest.mark.parametrize(
    ("raw", "found"),
    [("", [0, 1, 2]), ("tag=v1", [0, 1]), ("tag=v1&tag=A", [0]), ("tag=x", []), ("tag=", [0, 1, 2])],
)
def test_every_tag_must_be_there_in_any_case(raw: str, found: list[int]) -> None:
    assert with_tags(query(raw), INSTANCES) == [INSTANCES[n] for n in found]


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("", ["n1", "n2", "n3"]),
        ("node-meta=rack:7", ["n1", "n2"]),
        ("node-meta=rack:7&node-meta=zone:b", ["n1"]),
        ("node-meta=rack", []),
        ("node-meta=rack:8", []),
    ],
)
def test_all_node_meta_must_hold(raw: str, found: list[str]) -> None:
    assert [node.node for node in of_nodes(query(raw), NODES, lambda node: node)] == found


@pytest.mark.parametrize(("near", "found"), [("", "n1 n2 n3"), ("n2", "n2 n1 n3"), ("nobody", "n1 n2 n3")])
def test_near_puts_that_node_first_and_keeps_the_order(near: str, found: str) -> None:
    nodes: Any = nearest_first(query(f"near={near}"), NODES, lambda node: node.node)
    assert " ".join(node.node for node in nodes) == found


def test_the_central_configuration_only_where_it_is_asked_for() -> None:
    """Then it is something that the read rests on, too."""
    entries = Entries({"Kind": "proxy-defaults", "Name": "global", "Config": {"a": 1}})
    gateway = ServiceInstance("edge", kind="mesh-gateway")
    plain, asked = query(""), query("merge-central-config")
    assert (is_merged(plain), is_merged(asked)) == (False, True)
    assert merged(plain, entries, gateway) is gateway
    assert merged(asked, entries, gateway).proxy.config == {"a": 1}
    assert with_central(plain, ("node", "n1")) == (("node", "n1"),)
    assert ("config", "proxy-defaults") in with_central(asked, ("node", "n1"))
