"""A mirror between two catalogs in virtual time: what it brings, what it leaves, and what it never removes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from agents.bridge.mirror import FULL_PASS_S, Mirror, SameCatalogError, open_mirror
from agents.bridge.source import Wanted
from agents.bridge.target import SourceReplacedError
from tests.fakes.bridge.catalog import FakeCatalog

HOLD_S = 120.0
SOON_S = 0.9


@asynccontextmanager
async def mirroring(
    source: FakeCatalog, target: FakeCatalog, name: str = "b", wanted: Wanted | None = None
) -> AsyncIterator[Mirror]:
    """A running mirror that has had its first passes."""
    mirror = await open_mirror((source, target), name, wanted or Wanted(), lambda: 0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mirror.run)
        await mirror.ready.wait()
        await trio.sleep(SOON_S)
        yield mirror
        nursery.cancel_scope.cancel()


@pytest.fixture
def source() -> FakeCatalog:
    made = FakeCatalog("dc1")
    made.add("n1", "web")
    made.add("n1", "api")
    return made


@pytest.fixture
def target() -> FakeCatalog:
    return FakeCatalog("dc2")


BOTH = {"n1": ["api-1 passing", "web-1 passing"]}


async def test_what_is_there_and_what_comes_is_mirrored(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """Instances that stand, that come, and whose health changes are at the target within a second."""
    async with mirroring(source, target):
        assert target.mirrored() == BOTH
        source.add("n2", "web", ID="web-2")
        await trio.sleep(SOON_S)
        assert target.mirrored() == {**BOTH, "n2": ["web-2 passing"]}
        source.add("n1", "web", "critical")
        await trio.sleep(SOON_S)
        assert target.mirrored()["n1"] == ["api-1 passing", "web-1 critical"]


async def test_nothing_is_written_when_nothing_changed(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """An hour of passes leaves the target's index alone, and a restarted bridge does, too."""
    async with mirroring(source, target):
        index = target.index
        await trio.sleep(3600)
        assert target.index == index
    async with mirroring(source, target):
        await trio.sleep(3600)
        assert target.index == index


async def test_one_write_for_a_changed_node(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """What changes at one of many nodes is one write."""
    for number in range(20):
        source.add(f"m{number}", "big", ID=f"big-{number}")
    async with mirroring(source, target):
        target.writes.clear()
        source.add("m7", "big", "warning", ID="big-7")
        await trio.sleep(SOON_S)
        assert len(target.writes) == 1


async def test_a_deregistration_follows_once_the_source_is_trusted(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """In the hold time after a start nothing is removed; after it what goes at the source goes within a second."""
    async with mirroring(source, target):
        source.deregister({"Node": "n1", "ServiceID": "api-1"})
        await trio.sleep(HOLD_S / 2)
        assert target.mirrored() == BOTH
        await trio.sleep(HOLD_S)
        assert target.mirrored() == {"n1": ["web-1 passing"]}
        source.deregister({"Node": "n1"})
        await trio.sleep(SOON_S)
        assert target.mirrored() == {}
        assert target.nodes == {}


async def test_what_went_while_the_bridge_was_away_goes(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """A restarted bridge knows its own by their marks, and removes what is gone, after the hold time."""
    async with mirroring(source, target):
        pass
    source.deregister({"Node": "n1", "ServiceID": "web-1"})
    async with mirroring(source, target):
        assert target.mirrored() == BOTH
        await trio.sleep(HOLD_S + 2)
        assert target.mirrored() == {"n1": ["api-1 passing"]}


async def test_an_outage_of_the_source_removes_nothing(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """Neither errors, however long, nor an empty answer right after them."""
    async with mirroring(source, target):
        await trio.sleep(HOLD_S + 1)
        source.away = "500 No cluster leader"
        source.wake()
        await trio.sleep(3600)
        assert target.mirrored() == BOTH
        held = dict(source.services)
        source.services.clear()
        source.away = ""
        source.bump()
        await trio.sleep(HOLD_S / 2)
        assert target.mirrored() == BOTH
        source.services.update(held)
        source.bump()
        await trio.sleep(2 * HOLD_S)
        assert target.mirrored() == BOTH


async def test_a_source_that_lost_its_data_is_not_believed_at_once(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """An index that went back is doubt: only what is still missing after the hold time is removed."""
    async with mirroring(source, target) as mirror:
        await trio.sleep(HOLD_S + 1)
        source.lose_everything()
        await trio.sleep(HOLD_S / 2)
        assert "went back" in mirror.source.trust.reason
        assert target.mirrored() == BOTH
        source.add("n1", "web")
        await trio.sleep(HOLD_S / 2 + 5)
        assert target.mirrored() == {"n1": ["web-1 passing"]}


async def test_a_filtered_answer_removes_nothing(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """A token that lost its rights sees empty lists: they are no deletions."""
    async with mirroring(source, target):
        await trio.sleep(HOLD_S + 1)
        source.services.clear()
        source.whole = False
        source.bump()
        await trio.sleep(10 * HOLD_S)
        assert target.mirrored() == BOTH


async def test_a_replaced_source_stops_the_mirror(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """Another cluster under the same address ends the bridge with a reason, whether it runs then or starts after."""
    other = FakeCatalog("dc1", "other.consul")
    with pytest.RaisesGroup(SourceReplacedError, flatten_subgroups=True, allow_unwrapped=True):
        async with mirroring(source, target):
            await trio.sleep(HOLD_S + 1)
            source.known = other.known
            source.lose_everything()
            await trio.sleep(HOLD_S)
    assert target.mirrored() == BOTH
    with pytest.RaisesGroup(SourceReplacedError, flatten_subgroups=True, allow_unwrapped=True):
        async with mirroring(other, target):
            pass
    assert target.mirrored() == BOTH


async def test_an_outage_of_the_target_is_made_up_for(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """It is tried again, not too often, and then everything that happened meanwhile is there."""
    async with mirroring(source, target):
        target.away = "connection refused"
        source.add("n2", "web", ID="web-2")
        source.add("n1", "web", "critical")
        await trio.sleep(600)
        target.away = ""
        await trio.sleep(31)
        assert target.mirrored() == {"n1": ["api-1 passing", "web-1 critical"], "n2": ["web-2 passing"]}


async def test_drift_is_repaired_within_a_minute(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """What somebody changes or removes of ours comes back."""
    async with mirroring(source, target):
        (node,) = target.nodes
        target.deregister({"Node": node, "ServiceID": "web-1"})
        target.services[node, "api-1"] = {**target.services[node, "api-1"], "Port": 1}
        await trio.sleep(FULL_PASS_S + 1)
        assert target.mirrored() == BOTH
        assert target.services[node, "api-1"]["Port"] == 80


async def test_a_refused_write_does_not_hold_up_others(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported once and tried again."""
    source.add("n2", "web", ID="web-2")
    target.refused = "n2-dc1"
    async with mirroring(source, target) as mirror:
        assert target.mirrored() == BOTH
        await trio.sleep(600)
        assert mirror.target.refusals > 2
        assert len([one for one in caplog.messages if "not written" in one]) == 1
        target.refused = ""
        await trio.sleep(FULL_PASS_S)
        assert target.mirrored() == {**BOTH, "n2": ["web-2 passing"]}


async def test_foreign_rows_are_left_alone_and_reported_once(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An unmarked node or instance under a name of ours is never written or removed."""
    async with mirroring(source, target):
        (name,) = target.nodes
    target.nodes[name]["Meta"] = None
    target.services[name, "api-1"]["Meta"] = target.services[name, "web-1"]["Meta"] = {}
    target.deregister({"Node": name, "ServiceID": "api-1"})
    before = (dict(target.nodes), dict(target.services))
    async with mirroring(source, target):
        await trio.sleep(HOLD_S + FULL_PASS_S * 3)
    assert (target.nodes, target.services) == before
    assert len([one for one in caplog.messages if "is not ours" in one]) == 1


async def test_a_foreign_instance_on_our_node_outlives_it(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """When all of ours are gone from a node, the node stays for who else is on it."""
    async with mirroring(source, target):
        (name,) = target.nodes
        target.services[name, "guest"] = {"ID": "guest", "Service": "guest", "Port": 1}
        await trio.sleep(HOLD_S + 1)
        source.deregister({"Node": "n1"})
        await trio.sleep(FULL_PASS_S + 1)
        assert list(target.services) == [(name, "guest")]
        assert name in target.nodes


async def test_intentions_follow_and_own_ones_win(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """L4 and L7 are mirrored with a mark, the target's own for a pair stays, what goes at the source goes."""
    permissions = [
        {"Action": "deny", "HTTP": {"PathPrefix": "/admin", "Header": None}},
        {"Action": "allow", "HTTP": {"PathPrefix": "/"}},
    ]
    source.intend("web", "api")
    source.intend("web", "shop", Permissions=permissions)
    source.intend("*", "db", Action="deny")
    target.intend("*", "db")
    async with mirroring(source, target):
        assert target.intentions["web", "api"]["Action"] == "allow"
        assert "linkspan-bridge b from dc1/" in target.intentions["web", "api"]["Description"]
        got = target.intentions["web", "shop"]["Permissions"]
        assert got == [{"Action": "deny", "HTTP": {"PathPrefix": "/admin"}}, permissions[1]]
        assert target.intentions["*", "db"] == {"Description": "", "Action": "allow"}
        assert len([one for one in caplog.messages if "=> db is there and is not ours" in one]) == 1
        await trio.sleep(HOLD_S + 1)
        del source.intentions["web", "api"]
        source.bump()
        await trio.sleep(SOON_S)
        assert set(target.intentions) == {("web", "shop"), ("*", "db")}
        index = target.index
        await trio.sleep(600)
        assert target.index == index


async def test_both_directions_do_not_loop(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """Two mirrors face to face: each side has its own and the other's once, and comes to rest."""
    target.add("m1", "db")
    source.intend("a", "b")
    target.intend("c", "d")
    async with mirroring(source, target), mirroring(target, source), mirroring(source, target, "second"):
        await trio.sleep(HOLD_S + FULL_PASS_S * 2)
        assert source.mirrored() == {"m1": ["db-1 passing"]}
        assert sorted(target.mirrored()) == ["n1"]
        assert len(target.nodes) == 3, "m1 itself, and n1 by each of the two bridges"
        assert set(source.intentions) == set(target.intentions) == {("a", "b"), ("c", "d")}
        at_rest = (source.index, target.index)
        await trio.sleep(3600)
        assert (source.index, target.index) == at_rest


async def test_a_ring_of_three_does_not_loop(autojump_clock: trio.testing.MockClock) -> None:
    """What goes round a ring stops at the first neighbour."""
    ring = [FakeCatalog(f"dc{number}") for number in range(3)]
    for number, one in enumerate(ring):
        one.add(f"n{number}", "web")
    async with mirroring(ring[0], ring[1]), mirroring(ring[1], ring[2]), mirroring(ring[2], ring[0]):
        await trio.sleep(HOLD_S + FULL_PASS_S * 2)
        assert [list(one.mirrored()) for one in ring] == [["n2"], ["n0"], ["n1"]]
        at_rest = [one.index for one in ring]
        await trio.sleep(3600)
        assert [one.index for one in ring] == at_rest


async def test_one_catalog_is_not_mirrored_to_itself(source: FakeCatalog) -> None:
    """Both addresses may lead to one catalog: that is refused."""
    with pytest.raises(SameCatalogError, match="one catalog"):
        await open_mirror((source, FakeCatalog("dc1")), "b", Wanted(), lambda: 0.5)


async def test_once_removes_only_without_hold(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """A single pass adds; what is gone goes only when the operator gives no hold time."""

    async def once(wanted: Wanted) -> bool:
        mirror = await open_mirror((source, target), "b", wanted, lambda: 0.5)
        return await mirror.apply(*await mirror.once())

    assert await once(Wanted())
    assert target.mirrored() == BOTH
    source.deregister({"Node": "n1", "ServiceID": "api-1"})
    assert await once(Wanted())
    assert target.mirrored() == BOTH
    assert await once(Wanted(hold_s=0))
    assert target.mirrored() == {"n1": ["web-1 passing"]}


async def test_what_is_not_wanted_any_more_goes(
    source: FakeCatalog, target: FakeCatalog, autojump_clock: trio.testing.MockClock
) -> None:
    """Other globs are the operator's word: what they leave out is removed without any hold."""
    async with mirroring(source, target):
        assert target.mirrored() == BOTH
    async with mirroring(source, target, wanted=Wanted(globs=("w*",))):
        assert target.mirrored() == {"n1": ["web-1 passing"]}


async def test_more_services_than_watches(target: FakeCatalog, autojump_clock: trio.testing.MockClock) -> None:
    """300 services with 20 watches: parked calls stay few, and health of any service follows within a second."""
    source = FakeCatalog("dc1")
    for number in range(300):
        source.add(f"n{number}", f"s{number:03}")
    async with mirroring(source, target, wanted=Wanted(watches=20)):
        await trio.sleep(5)
        assert len(target.mirrored()) == 300
        source.add("n290", "s290", "critical")
        await trio.sleep(SOON_S)
        assert target.mirrored()["n290"] == ["s290-1 critical"]
        assert source.most_parked <= 20 + 3
