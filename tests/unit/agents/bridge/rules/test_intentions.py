"""Intentions: their canonical form, their marks, and the plans between two lists."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.bridge.rules.intentions import (
    IntentionRow,
    PutIntention,
    RemoveIntention,
    intention,
    mirrored_intention,
    reconcile_intentions,
)
from agents.bridge.rules.marks import Identity, Mark
from agents.bridge.rules.rows import ShapeError

MARK = Mark("b", Identity("dc1"))


def row(**fields: Any) -> dict[str, Any]:
    return {"SourceName": "web", "DestinationName": "api", "SourceNS": "default", "Action": "allow", **fields}


def test_l4_and_l7() -> None:
    """Permissions keep their order; what says nothing is left out; the body says one of both."""
    made = intention(row())
    assert made is not None
    assert made.body() == {"SourceType": "consul", "Description": "", "Action": "allow"}
    permissions = [{"Action": "deny", "HTTP": {"PathExact": "/b", "Methods": None}}, {"Action": "allow", "JWT": None}]
    made = intention(row(Action="", Permissions=permissions))
    assert made is not None
    assert made.body()["Permissions"] == [{"Action": "deny", "HTTP": {"PathExact": "/b"}}, {"Action": "allow"}]
    assert "Action" not in made.body()


@pytest.mark.parametrize("fields", [{"SourcePeer": "p"}, {"SourceNS": "team"}, {"DestinationPartition": "p"}])
def test_other_tenants_are_left_out(fields: dict[str, str]) -> None:
    assert intention(row(**fields)) is None


@given(st.recursive(st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_any_json_is_an_intention_or_refused(value: Any) -> None:
    """Parsers never raise anything else."""
    for one in (value, row(Permissions=value), row(Description=value)):
        try:
            intention(one)
        except ShapeError:
            continue


def test_marked_ones_are_never_mirrored() -> None:
    found = intention(row(Description="why"))
    assert found is not None
    made = mirrored_intention(found, MARK)
    assert made is not None
    assert made.description == "why [linkspan-bridge b from dc1/]"
    assert mirrored_intention(made, Mark("c", Identity("dc2"))) is None


PAIRS = st.tuples(st.sampled_from("ab"), st.sampled_from("cd"))
LISTS = st.dictionaries(PAIRS, st.sampled_from(["allow", "deny"]))


@given(LISTS, LISTS, st.sets(PAIRS))
def test_plans_converge(want: dict[Any, str], have: dict[Any, str], taken: set[Any]) -> None:
    """After a plan, a second one does nothing; pairs of others are in no action."""
    desired = {pair: IntentionRow(*pair, action) for pair, action in want.items()}
    owned = {pair: IntentionRow(*pair, action) for pair, action in have.items() if pair not in taken}
    plan = reconcile_intentions(desired, owned, taken, lambda _: True)
    for action in plan.actions:
        if isinstance(action, PutIntention):
            assert action.row.pair not in taken
            owned[action.row.pair] = action.row
        else:
            assert isinstance(action, RemoveIntention)
            del owned[action.pair]
    assert owned == {pair: one for pair, one in desired.items() if pair not in taken}
    assert reconcile_intentions(desired, owned, taken, lambda _: True).actions == ()


def test_a_removal_waits_for_leave() -> None:
    owned = {("a", "b"): IntentionRow("a", "b", "allow")}
    plan = reconcile_intentions({}, owned, set(), lambda _: False)
    assert (plan.actions, plan.withheld) == ((), True)
