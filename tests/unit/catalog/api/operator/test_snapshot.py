"""Save and restore: everything comes back, whoever waits wakes, nobody is locked out."""

import msgspec
import pytest
import trio

from catalog.access.tokens import OPERATOR_KEY, OPERATOR_TABLE
from catalog.api.http.errors import BadRequestError, PermissionDeniedError
from catalog.api.operator.archive import Origin, pack
from catalog.api.operator.authority import AuthorityEndpoints
from catalog.api.operator.snapshot import SnapshotEndpoints
from catalog.state.changes import PutKey, PutRecord, Register
from catalog.state.records import Node
from tests.fakes.catalog_calls import make_call, open_api, powerless


async def test_the_state_comes_back_and_the_index_goes_on() -> None:
    """Rows and keys are those of the snapshot, the index is above every one that was seen, and readers wake."""
    async with open_api() as api:
        snapshots, state = SnapshotEndpoints(api), api.parking.state
        await api.submit(Register(node=Node(node="a", address="192.0.2.1")))
        await api.submit(PutKey("k", b"before"))
        saved = await snapshots.save(make_call())
        assert saved.body[:2] == b"\x1f\x8b"
        await api.submit(PutKey("k", b"after"))
        await api.submit(PutKey("other", b"x"))
        await api.submit(Register(node=Node(node="b", address="192.0.2.2")))
        seen = state.index
        topics = (("key", "k"), ("nodes",), ("service", "never"), ("record", "t", "k"))
        async with trio.open_nursery() as nursery:
            for topic in topics:
                nursery.start_soon(api.parking.wait, (topic,), state.index_of(topic), 60.0)
            await trio.testing.wait_all_tasks_blocked()
            assert (await snapshots.restore(make_call("PUT", body=saved.body))).status == 200
        key = state.key("k")
        assert key is not None
        assert key.value == b"before"
        assert state.key("other") is None
        assert [node.node for node in state.nodes()] == ["a"]
        assert state.index == seen + 1
        assert [state.index_of(topic) for topic in topics] == [seen + 1] * 4
        await api.submit(PutKey("k", b"again"))
        assert state.index_of(("key", "k")) == seen + 2


async def test_the_operators_token_stays_and_the_leaves_life_comes_back() -> None:
    """The token belongs to the data directory; what the authority was told belongs to the state."""
    async with open_api() as api:
        snapshots, authority = SnapshotEndpoints(api), AuthorityEndpoints(api)
        await authority.write(make_call("PUT", body={"Config": {"LeafCertTTL": "2h"}}))
        await api.submit(PutRecord(OPERATOR_TABLE, OPERATOR_KEY, b"old"))
        saved = await snapshots.save(make_call())
        await api.submit(PutRecord(OPERATOR_TABLE, OPERATOR_KEY, b"new"))
        await authority.write(make_call("PUT", body={"Config": {"LeafCertTTL": "3h"}}))
        await snapshots.restore(make_call("PUT", body=saved.body))
        record = api.parking.state.record(OPERATOR_TABLE, OPERATOR_KEY)
        assert record is not None
        assert record.value == b"new"
        assert api.authority.leaf_ttl_s == 7200


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (b"junk", "not gzip"),
        (pack(Origin("dc1", "another.consul"), 1, b"{}", 0.0), "of the mesh 'another.consul'"),
        (pack(Origin("dc1", "test.consul"), 1, b"{}", 0.0), "cannot be read"),
        (pack(Origin("dc1", "test.consul"), 1, b'{"format":99}', 0.0), "cannot be read"),
    ],
)
async def test_what_cannot_be_restored_changes_nothing(packed: bytes, says: str) -> None:
    """Refused with the reason; the state and its index are as they were."""
    async with open_api() as api:
        await api.submit(PutKey("k", b"v"))
        before = api.parking.state.encode()
        with pytest.raises(BadRequestError, match=says):
            await SnapshotEndpoints(api).restore(make_call("PUT", body=packed))
        assert api.parking.state.encode() == before


async def test_only_who_manages_tokens_may() -> None:
    """A snapshot holds every key's value, and a restore replaces all rights: both take the right to write tokens."""
    async with open_api() as api:
        for handler in (SnapshotEndpoints(api).save, SnapshotEndpoints(api).restore):
            with pytest.raises(PermissionDeniedError):
                await handler(powerless(make_call("PUT", body=b"")))


def test_the_description_is_json() -> None:
    """`consul snapshot inspect` and people read it."""
    assert msgspec.json.decode(msgspec.json.encode(Origin("d", "t"))) == {
        "Datacenter": "d",
        "TrustDomain": "t",
        "Version": "",
    }


async def test_a_restore_whose_caller_hangs_up_is_whole() -> None:
    """The state is replaced all the same, and so is what the authority takes from it."""
    async with open_api() as api:
        snapshots, authority = SnapshotEndpoints(api), AuthorityEndpoints(api)
        await authority.write(make_call("PUT", body={"Config": {"LeafCertTTL": "2h"}}))
        saved = await snapshots.save(make_call())
        await authority.write(make_call("PUT", body={"Config": {"LeafCertTTL": "3h"}}))
        before = api.parking.state.index
        async with trio.open_nursery() as nursery:
            nursery.start_soon(snapshots.restore, make_call("PUT", body=saved.body))
            await trio.testing.wait_all_tasks_blocked()  # it unpacks, in a thread
            nursery.cancel_scope.cancel()
        assert api.parking.state.index > before
        assert api.authority.leaf_ttl_s == 7200
