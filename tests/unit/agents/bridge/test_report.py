"""What a bridge says of itself."""

import trio.testing

from agents.bridge.mirror import open_mirror
from agents.bridge.report import lines_of, metrics_text, why_not_ready
from agents.bridge.rules.intentions import IntentionPlan, IntentionRow, PutIntention, RemoveIntention
from agents.bridge.rules.reconcile import Plan, Register, RemoveCheck, RemoveInstance, RemoveNode
from agents.bridge.rules.rows import InstanceRow, NodeRow
from agents.bridge.source import Wanted
from tests.fakes.bridge.catalog import FakeCatalog


def test_the_lines_of_a_pass() -> None:
    """One for each action, each conflict, and what is not removed yet."""
    node = NodeRow("n", "a")
    actions = (
        Register(node, InstanceRow("i", "web", "a", 1)),
        Register(node),
        RemoveCheck("n", "c"),
        RemoveInstance("n", "i"),
        RemoveNode("n"),
    )
    intentions = IntentionPlan(
        (PutIntention(IntentionRow("a", "b", "deny")), RemoveIntention(("c", "d"))), withheld=True
    )
    assert list(lines_of(Plan(actions, frozenset({"web"}), frozenset({"left alone"})), intentions)) == [
        "register node n: instance i of web, 0 checks",
        "register node n: 0 checks",
        "remove check c of node n",
        "remove instance i of node n",
        "remove node n",
        "write intention a => b (deny)",
        "remove intention c => d",
        "left alone",
        "not removed yet: instances of web that the source does not show",
        "not removed yet: intentions that the source does not show",
    ]


async def test_readiness_and_metrics(autojump_clock: trio.testing.MockClock) -> None:
    """Ready after a full pass; every number is there with its bridge and origin."""
    source, target = FakeCatalog("dc1"), FakeCatalog("dc2")
    source.add("n1", "web")
    mirror = await open_mirror((source, target), "b", Wanted(), lambda: 0.5)
    assert why_not_ready([]) == "not both catalogs have answered yet"
    assert why_not_ready([mirror]) == "no full pass yet catalog dc2"
    await mirror.apply(*await mirror.once())
    mirror.ready.set()
    assert not why_not_ready([mirror])
    text = metrics_text("b", [mirror])
    assert 'linkspan_bridge_instances{bridge="b",origin="dc1"} 1\n' in text
    assert 'linkspan_bridge_writes_total{bridge="b",origin="dc1"} 1\n' in text
