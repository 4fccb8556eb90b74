"""Rows of the API to values, and how they should stand at the target."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.bridge.rules.marks import Identity, Mark
from agents.bridge.rules.rows import MAX_META_PAIRS, ShapeError, check_body, mirrored, node_body, service_body, sighting

MARK = Mark("b", Identity("dc1", "one.consul"))


def row(node: dict[str, Any] | None = None, **service: Any) -> dict[str, Any]:
    """A row of health/service with a node check and a check of its own."""
    return {
        "Node": {"Node": "n1", "Address": "192.0.2.1", "Meta": None, "TaggedAddresses": None, **(node or {})},
        "Service": {"ID": "web-1", "Service": "web", "Address": "", "Port": 80, **service},
        "Checks": [
            {"CheckID": "serfHealth", "Name": "S", "Status": "passing", "ServiceID": ""},
            {"CheckID": "c", "Name": "C", "Status": "warning", "ServiceID": "web-1", "Output": "slow"},
        ],
    }


def test_null_and_nothing_are_one() -> None:
    """Sides print the same thing differently; the values are equal."""
    full = row({"Meta": {}, "TaggedAddresses": {}}, Tags=[], Meta={}, TaggedAddresses={}, Address="192.0.2.1", Proxy={})
    assert sighting(full) == sighting(row(Tags=None, Meta=None, TaggedAddresses=None, Proxy=None, Connect=None))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_any_json_is_a_row_or_refused(value: Any) -> None:
    """Parsers never raise anything else."""
    for one in (value, {**row(), "Node": value}, {**row(), "Service": value}, {**row(), "Checks": value}):
        try:
            sighting(one)
        except ShapeError:
            continue


def test_what_is_mirrored_and_how() -> None:
    """Everything is kept; the address is the node's if empty; check IDs get the prefix; the mark is on both."""
    made = mirrored(
        sighting(row(Tags=["a"], Meta={"k": "v"}, Weights={"Passing": 3, "Warning": 2})), MARK, connect=False
    )
    assert made is not None
    assert made.node.address == made.instance.address == "192.0.2.1"
    assert [check.id for check in made.node.checks] == ["bridge:serfHealth"]
    assert [(check.id, check.status, check.output) for check in made.instance.checks] == [
        ("bridge:c", "warning", "slow")
    ]
    assert made.instance.meta == {"k": "v", "linkspan-bridge": "b", "linkspan-bridge-origin": "dc1"}
    assert made.node.meta["linkspan-bridge-node"] == "n1"
    assert made.marked
    body = {
        "Node": {**node_body(made.node), "Meta": node_body(made.node)["NodeMeta"]},
        "Service": service_body(made.instance),
    }
    checks = [check_body(made.node.name, check) for check in (*made.node.checks, *made.instance.checks)]
    assert sighting({**body, "Checks": checks}) == made, "what is written reads back as it was"


@pytest.mark.parametrize(
    ("found", "plain", "connect"),
    [
        (row(), True, True),
        (row(Kind="connect-proxy", Proxy={"DestinationServiceName": "web"}), False, True),
        (row(Kind="mesh-gateway"), False, False),
        (row(Kind="ingress-gateway"), False, False),
        (row(Kind="terminating-gateway"), False, False),
        (row(Kind="api-gateway"), False, False),
        (row(Meta={"linkspan-bridge": "another"}), False, False),
        (row({"Meta": {"linkspan-bridge": "another"}}), False, False),
    ],
)
def test_what_is_never_mirrored(found: dict[str, Any], plain: bool, connect: bool) -> None:
    """Gateways and whatever any bridge wrote; proxies only on request."""
    assert (mirrored(sighting(found), MARK, connect=False) is not None) is plain
    assert (mirrored(sighting(found), MARK, connect=True) is not None) is connect


def test_native_needs_connect() -> None:
    """An instance is mesh-native at the target only if proxies are mirrored, too."""
    native = sighting(row(Connect={"Native": True}))
    assert [mirrored(native, MARK, connect=one).instance.native for one in (False, True)] == [False, True]  # type: ignore[union-attr]


def test_meta_is_bounded_and_not_reserved() -> None:
    """64 pairs with the mark among them; Consul's own keys and its monitor's are not copied."""
    meta = {f"k{number:03}": "v" for number in range(80)} | {"consul-version": "1", "external-probe": "true"}
    made = mirrored(sighting(row({"Meta": meta}, Meta=meta)), MARK, connect=False)
    assert made is not None
    for found in (made.node.meta, made.instance.meta):
        assert len(found) == MAX_META_PAIRS
        assert not {"consul-version", "external-probe"} & found.keys()
        assert found["linkspan-bridge"] == "b"
