"""Transactions as a handler: bodies, bounds, rights of every operation, and what the answer holds."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api
from catalog.api.http.errors import ApiError, BadRequestError, BodyTooLargeError, PermissionDeniedError, RefusedError
from catalog.api.kv.transactions import TransactionEndpoints, read_operations
from catalog.state.changes import CheckOp, KeyOp, NodeOp, PutKey, Register, ServiceOp, Transact
from catalog.state.records import Check, Node, ServiceInstance
from mesh.model.endpoint import Health
from tests.fakes.catalog_calls import make_call, open_api

Right = tuple[Resource, str, Access]


class Exactly:
    """May do what is listed, and says what it was asked."""

    accessor = ""

    def __init__(self, *rights: Right) -> None:
        self.rights = set(rights)
        self.asked: list[Right] = []

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        self.asked.append((resource, name, access))
        return (resource, name, access) in self.rights

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:
        return self.allows(resource, f"{prefix}*", access)

    def __str__(self) -> str:
        return "a test"


def raw(*operations: Any) -> bytes:
    return msgspec.json.encode(operations)


def test_operations_in_any_letter_case() -> None:
    """Base64 values, indexes from the rows' own fields."""
    body = raw(
        {"kv": {"verb": "set", "KEY": "a", "Value": "aGk=", "Flags": 7}},
        {"KV": {"Verb": "cas", "Key": "a", "Value": None, "Index": 5}},
        {"Node": {"Verb": "cas", "Node": {"Node": "n1", "Address": "10.0.0.1", "ModifyIndex": 3}}},
        {"Service": {"Verb": "delete", "Node": "n1", "Service": {"Service": "web", "ID": "w1"}}},
        {"Check": {"Verb": "set", "Check": {"Node": "n1", "Name": "up", "Status": "passing"}}},
    )
    assert read_operations(body, "dc1") == Transact(
        (
            KeyOp("set", "a", b"hi", 7),
            KeyOp("cas", "a", index=5),
            NodeOp("cas", Node("n1", "10.0.0.1", datacenter="dc1"), 3),
            ServiceOp("delete", "n1", ServiceInstance("web", id="w1")),
            CheckOp("set", Check("", "up", "n1", Health.PASSING)),
        )
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[",
        b"[1]",
        b"[" * 1000,
        raw({}),
        raw({"KV": {"Verb": "set"}, "Node": {"Verb": "get"}}),
        raw({"KV": {"Verb": "set", "Key": "a", "Value": "%"}}),
        raw({"KV": {"Verb": "set", "Key": "a", "Value": 1}}),
        raw({"KV": {"Verb": "set", "Key": "a", "Flags": "x"}}),
        raw({"KV": {"Verb": "set", "Key": "a", "Colour": "red"}}),
        raw({"KV": {"Verb": "set", "Key": "a", "Namespace": "team"}}),
        raw({"Session": {"Verb": "delete"}}),
        raw({"Check": {"Verb": "set", "Check": {"Node": "n1", "Status": "fine"}}}),
    ],
)
def test_a_body_that_is_none_is_400(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        read_operations(body, "dc1")


def test_another_datacenter_is_refused() -> None:
    with pytest.raises(RefusedError, match="No path to datacenter"):
        read_operations(raw({"Node": {"Verb": "get", "Node": {"Node": "n", "Datacenter": "dc2"}}}), "dc1")


@pytest.mark.parametrize("count", [129, 10_000])
def test_too_many_operations_are_413(count: int) -> None:
    """None of them is looked at."""
    with pytest.raises(BodyTooLargeError, match=f"{count} > 128"):
        read_operations(raw(*([1] * count)), "dc1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["KV", "Node", "Service", "Check", "Verb", "Key", "Value", "Index", "Flags", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=60) | st.lists(JSON, max_size=3).map(msgspec.json.encode))
def test_any_body_is_a_transaction_or_the_callers_fault(body: bytes) -> None:
    try:
        change = read_operations(body, "dc1")
    except ApiError:
        return
    assert isinstance(change, Transact)


async def put(api: Api, *operations: Any, authorizer: Any = None) -> tuple[int, Any]:
    call = make_call("PUT", body=raw(*operations))
    if authorizer is not None:
        call = msgspec.structs.replace(call, authorizer=authorizer)
    answer = await TransactionEndpoints(api).put(call)
    return answer.status, msgspec.json.decode(answer.body)


SET = {"KV": {"Verb": "set", "Key": "a", "Value": "aGk="}}
GET = {"KV": {"Verb": "get", "Key": "a"}}


async def test_reads_say_more_than_writes() -> None:
    """Measured trap 9; a read leaves no index behind."""
    async with open_api() as api:
        status, written = await put(api, SET, GET)
        assert (status, sorted(written)) == (200, ["Errors", "Results"])
        assert [row["KV"]["Value"] for row in written["Results"]] == [None, "aGk="]
        index = api.parking.state.index
        status, found = await put(api, GET)
        assert (status, found) == (
            200,
            {
                "Results": [written["Results"][1]],
                "Errors": None,
                "Index": index,
                "LastContact": 0,
                "KnownLeader": True,
            },
        )
        assert api.parking.state.index == index
        assert (await put(api))[1]["Results"] == []


async def test_failures_are_409_all_of_them() -> None:
    async with open_api() as api:
        for extra in ((), (SET,)):
            status, found = await put(api, *extra, {"KV": {"Verb": "get", "Key": "x"}}, {"KV": {"Verb": "fly"}})
            assert (status, found["Results"]) == (409, None)
            assert [one["OpIndex"] for one in found["Errors"]] == [len(extra), len(extra) + 1]
        assert api.parking.state.key("a") is None


R, W, K, N, S = Access.READ, Access.WRITE, Resource.KEY, Resource.NODE, Resource.SERVICE
WEB, API = {"Service": "web", "ID": "w1"}, {"Service": "api", "ID": "w1"}
RIGHTS = [
    (SET, [(K, "a", W)]),
    ({"KV": {"Verb": "delete-tree", "Key": "a"}}, [(K, "a*", W)]),
    ({"KV": {"Verb": "get-or-empty", "Key": "a"}}, [(K, "a", R)]),
    ({"KV": {"Verb": "check-not-exists", "Key": "x"}}, [(K, "x", R)]),
    ({"KV": {"Verb": "unlock", "Key": "a"}}, [(K, "a", W)]),
    ({"Node": {"Verb": "set", "Node": {"Node": "n1"}}}, [(N, "n1", W)]),
    ({"Node": {"Verb": "get", "Node": {"Node": "n1"}}}, [(N, "n1", R)]),
    ({"Service": {"Verb": "set", "Node": "n1", "Service": {"Service": "db"}}}, [(S, "db", W)]),
    ({"Service": {"Verb": "get", "Node": "n1", "Service": WEB}}, [(S, "web", R)]),
    ({"Service": {"Verb": "get", "Node": "n1", "Service": {"ID": "w1"}}}, [(S, "web", R)]),
    ({"Service": {"Verb": "get", "Node": "n1", "Service": {"ID": "none"}}}, [(S, "", R)]),
    # By the instance's id under another service's name: both must allow it.
    ({"Service": {"Verb": "delete", "Node": "n1", "Service": API}}, [(S, "api", W), (S, "web", W)]),
    ({"Check": {"Verb": "set", "Check": {"Node": "n1", "CheckID": "disk"}}}, [(N, "n1", W)]),
    ({"Check": {"Verb": "delete", "Check": {"Node": "n1", "CheckID": "up", "ServiceID": "w1"}}}, [(S, "web", W)]),
    # A service's check that is made the node's own: both must allow it.
    ({"Check": {"Verb": "set", "Check": {"Node": "n1", "CheckID": "up"}}}, [(N, "n1", W), (S, "web", W)]),
]


@pytest.mark.parametrize(("operation", "needed"), RIGHTS)
async def test_every_operation_needs_its_right(operation: Any, needed: list[Right]) -> None:
    """Each of the rights it needs, and no other; without any one of them nothing is done."""
    async with open_api() as api:
        service = ServiceInstance("web", id="w1")
        await api.submit(Register(Node("n1", "10.0.0.1"), (service,), (Check("up", service_id="w1"),)))
        await api.submit(PutKey("a", b"1"))
        index = api.parking.state.index
        other = {"KV": {"Verb": "set", "Key": "z"}}
        for missing in needed:
            with pytest.raises(PermissionDeniedError):
                await put(api, other, operation, authorizer=Exactly((K, "z", W), *(set(needed) - {missing})))
        assert api.parking.state.index == index
        everything = Exactly(*needed)
        await put(api, operation, authorizer=everything)
        assert {right for right in everything.asked if right[2] is W or right in needed} == set(needed)


async def test_a_tree_leaves_denied_keys_out() -> None:
    """Also those without a value."""
    async with open_api() as api:
        for key, value in (("a/1", b"1"), ("a/2", b""), ("a/3", b"3")):
            await api.submit(PutKey(key, value))
        tree = {"KV": {"Verb": "get-tree", "Key": "a/"}}
        _, found = await put(api, tree, authorizer=Exactly((K, "a/3", R)))
    assert [row["KV"]["Key"] for row in found["Results"]] == ["a/3"]
