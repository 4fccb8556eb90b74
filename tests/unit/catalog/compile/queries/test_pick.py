"""Which instances a query keeps. The whole way is held by the conformance tests."""

from typing import Any

import pytest

from catalog.compile.queries.definition import QueryService
from catalog.compile.queries.pick import candidates
from catalog.state.changes import Register
from catalog.state.records import Check, Connect, Node, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health


def filled() -> State:
    state = State()
    native = ServiceInstance("web", "native", connect=Connect(native=True), tags=("Blue",))
    plain = ServiceInstance("web", "plain", meta={"v": "1"})
    warned = Check("c", status=Health.WARNING, service_id="plain")
    state.apply(Register(Node("n1", "10.0.0.1", meta={"rack": "7"}), (native, plain), (warned,)), 2, 0.0)
    return state


@pytest.mark.parametrize(
    ("fields", "connect", "found"),
    [
        ({}, False, ["native", "plain"]),
        ({"only_passing": True}, False, ["native"]),
        ({"only_passing": True, "ignore_check_ids": ("c",)}, False, ["native", "plain"]),
        ({"tags": ("blue",)}, False, ["native"]),
        ({"tags": ("!BLUE",)}, False, ["plain"]),
        ({"node_meta": {"rack": "8"}}, False, []),
        ({"service_meta": {"v": "1"}}, False, ["plain"]),
        ({"connect": True}, False, ["native"]),
        ({}, True, ["native"]),
    ],
)
def test_candidates(fields: dict[str, Any], connect: bool, found: list[str]) -> None:
    service = QueryService(service="web", **fields)
    assert [one.instance.id for one in candidates(filled(), service, connect=connect)] == found
