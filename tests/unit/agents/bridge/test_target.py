"""A target: what of it is ours, and what is asked before a write."""

import pytest
import trio.testing

from agents.bridge.rules.intentions import IntentionPlan, IntentionRow, PutIntention, RemoveIntention
from agents.bridge.rules.marks import Identity, Mark, describe
from agents.bridge.rules.reconcile import Register, RemoveNode
from agents.bridge.rules.rows import NodeRow
from agents.bridge.target import SourceReplacedError, Target
from tests.fakes.bridge.catalog import FakeCatalog

MARK = Mark("b", Identity("dc1", "dc1.consul"))
NODE = NodeRow("n1-dc1-x", "192.0.2.1", meta=MARK.node_meta("n1"))


def opened(catalog: FakeCatalog) -> Target:
    return Target(catalog, MARK, with_intentions=True)


async def test_what_is_ours(autojump_clock: trio.testing.MockClock) -> None:
    """By the marks of this bridge alone: others' rows are taken or foreign, checks without prefix are not ours."""
    catalog = FakeCatalog("dc2")
    catalog.add("real", "web")
    catalog.add("theirs", "web")
    catalog.nodes["theirs"]["Meta"] = Mark("other", MARK.origin).node_meta("n1")
    catalog.add(NODE.name, "web", Meta=MARK.instance_meta())
    catalog.add(NODE.name, "guest")
    catalog.nodes[NODE.name]["Meta"] = dict(NODE.meta)
    catalog.intend("a", "b", Action="allow", Description=describe("", MARK))
    catalog.intend("c", "d")
    target = opened(catalog)
    await target.read()
    assert list(target.owned) == [NODE.name]
    assert list(target.owned[NODE.name].placed.instances) == ["web-1"]
    assert target.owned[NODE.name].placed.instances["web-1"].checks == ()
    assert target.owned[NODE.name].foreign == {"guest-1"}
    assert target.taken == {"real", "theirs"}
    assert (set(target.intentions), target.taken_pairs) == ({("a", "b")}, {("c", "d")})
    assert target.services == {"web"}


async def test_a_mark_of_another_origin_is_an_error(autojump_clock: trio.testing.MockClock) -> None:
    """Under our name from elsewhere: neither taken over nor removed."""
    catalog = FakeCatalog("dc2")
    catalog.register({"Node": "x", "Address": "a", "NodeMeta": Mark("b", Identity("dc9")).node_meta("n")})
    with pytest.raises(SourceReplacedError, match="was mirrored by bridge b from dc9"):
        await opened(catalog).read()
    catalog.deregister({"Node": "x"})
    catalog.intend("a", "b", Action="allow", Description=describe("", Mark("b", Identity("dc9"))))
    with pytest.raises(SourceReplacedError, match="a => b"):
        await opened(catalog).read()


async def test_a_name_that_was_taken_meanwhile(autojump_clock: trio.testing.MockClock) -> None:
    """Before the first write of a node, and before a node goes, the target is asked who has it."""
    catalog = FakeCatalog("dc2")
    target = opened(catalog)
    await target.read()
    catalog.register({"Node": NODE.name, "Address": "198.51.100.1"})
    assert await target.apply([Register(NODE)])
    assert catalog.writes == []
    assert target.taken == {NODE.name}
    catalog.nodes[NODE.name]["Meta"] = dict(NODE.meta)
    catalog.services[NODE.name, "guest"] = {"ID": "guest", "Service": "guest"}
    assert await target.apply([RemoveNode(NODE.name)])
    assert catalog.writes == []


async def test_an_intention_that_was_made_meanwhile(autojump_clock: trio.testing.MockClock) -> None:
    """Asked at the last moment, for writes and for removals."""
    catalog = FakeCatalog("dc2")
    target = opened(catalog)
    catalog.intend("a", "b")
    row = IntentionRow("a", "b", "deny", description=describe("", MARK))
    await target.apply_intentions(IntentionPlan((PutIntention(row), RemoveIntention(("a", "b")))))
    assert catalog.writes == []
    assert target.taken_pairs == {("a", "b")}
