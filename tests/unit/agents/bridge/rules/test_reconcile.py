"""Plans: tables, and over any two worlds that they converge and leave alone what is not ours."""

from hypothesis import given
from hypothesis import strategies as st

from agents.bridge.rules.reconcile import (
    Owned,
    Placed,
    Register,
    RemoveCheck,
    RemoveInstance,
    RemoveNode,
    applied,
    node_of,
    reconcile,
)
from agents.bridge.rules.rows import CheckRow, InstanceRow, NodeRow


def check(check_id: str, service_id: str = "", status: str = "passing") -> CheckRow:
    return CheckRow(check_id, check_id, status, service_id=service_id)


def instance(one: str, port: int = 80, *checks: CheckRow) -> InstanceRow:
    return InstanceRow(one, one[0], "192.0.2.1", port, checks=checks)


def placed(name: str, *instances: InstanceRow, address: str = "192.0.2.1", checks: tuple[CheckRow, ...] = ()) -> Placed:
    return Placed(NodeRow(name, address, checks=checks), {one.id: one for one in instances})


def yes(_service: str) -> bool:
    return True


def no(_service: str) -> bool:
    return False


def test_equal_worlds_need_nothing() -> None:
    want = placed("n", instance("a", 80, check("c", "a")), checks=(check("s"),))
    assert reconcile({"n": want}, {"n": Owned(want)}, set(), yes).actions == ()


def test_check_changes_are_one_write() -> None:
    """Of the node and of several instances together; nothing else is sent along."""
    have = placed("n", instance("a", 80, check("ca", "a")), instance("b", 80, check("cb", "b")), checks=(check("s"),))
    fresh = (check("s", status="critical"), check("ca", "a", "warning"), check("cb", "b", "critical"))
    want = placed("n", instance("a", 80, fresh[1]), instance("b", 80, fresh[2]), checks=fresh[:1])
    assert reconcile({"n": want}, {"n": Owned(have)}, set(), yes).actions == (Register(want.node, None, fresh),)


def test_a_changed_instance_takes_the_checks_along() -> None:
    have = placed("n", instance("a"), checks=(check("s"),))
    want = placed("n", instance("a", 81), checks=(check("s", status="critical"),))
    assert reconcile({"n": want}, {"n": Owned(have)}, set(), yes).actions == (
        Register(want.node, want.instances["a"], want.node.checks),
    )


def test_removals() -> None:
    """Checks, instances and nodes go, but instances only if they may."""
    have = Owned(placed("n", instance("a", 80, check("c", "a")), instance("b")))
    want = placed("n", instance("a"))
    assert set(reconcile({"n": want}, {"n": have}, set(), yes).actions) == {
        RemoveCheck("n", "c"),
        RemoveInstance("n", "b"),
    }
    assert reconcile({}, {"n": have}, set(), yes).actions == (RemoveNode("n"),)
    plan = reconcile({}, {"n": have}, set(), no)
    assert (plan.actions, plan.withheld) == ((), {"a", "b"})
    plan = reconcile({}, {"n": have}, set(), lambda service: service == "a")
    assert (plan.actions, plan.withheld) == ((RemoveInstance("n", "a"),), {"b"})


def test_what_is_not_ours() -> None:
    """A taken node gets no write; a foreign instance is not written, and keeps its node."""
    want = placed("n", instance("a"), instance("b"))
    plan = reconcile({"n": want}, {}, {"n"}, yes)
    assert plan.actions == ()
    assert len(plan.conflicts) == 1
    have = Owned(placed("n"), frozenset({"a"}))
    plan = reconcile({"n": want}, {"n": have}, set(), yes)
    assert plan.actions == (Register(want.node, want.instances["b"], ()),)
    assert len(plan.conflicts) == 1
    assert reconcile({}, {"n": have}, set(), yes).actions == ()


CHECKS = st.lists(st.sampled_from("xyz"), unique=True)
STATES = st.sampled_from(["passing", "critical"])


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Placed]:
    """Some nodes with some instances and checks."""
    made = {}
    for name in draw(st.lists(st.sampled_from(["n1", "n2", "n3"]), unique=True)):
        ids = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
        rows = [
            instance(
                one, draw(st.integers(1, 2)), *(check(f"{one}{c}", one, draw(STATES)) for c in sorted(draw(CHECKS)))
            )
            for one in ids
        ]
        own = tuple(check(c, status=draw(STATES)) for c in sorted(draw(CHECKS)))
        made[name] = placed(name, *rows, address=draw(st.sampled_from(["1", "2"])), checks=own)
    return made


@given(worlds(), worlds(), st.sets(st.sampled_from(["n1", "n2", "n3"])), st.sets(st.sampled_from(["a", "b"])))
def test_plans_converge(want: dict[str, Placed], have: dict[str, Placed], taken: set[str], foreign: set[str]) -> None:
    """After a plan, a second one does nothing; taken nodes and foreign instances are in no action."""
    owned = {
        name: Owned(
            Placed(one.node, {key: row for key, row in one.instances.items() if key not in foreign}), frozenset(foreign)
        )
        for name, one in have.items()
        if name not in taken
    }
    plan = reconcile(want, owned, taken, yes)
    for action in plan.actions:
        name = node_of(action)
        assert name not in taken
        if isinstance(action, RemoveNode):
            assert not owned[name].foreign
        if isinstance(action, RemoveInstance):
            assert action.instance_id not in owned[name].foreign
        if isinstance(action, Register) and action.instance is not None and name in owned:
            assert action.instance.id not in owned[name].foreign
        after = applied(owned.get(name), action)
        if after is None:
            owned.pop(name, None)
        else:
            owned[name] = after
    assert reconcile(want, owned, taken, yes).actions == ()
    for name, one in owned.items():
        expected = (
            {key: row for key, row in want[name].instances.items() if key not in one.foreign} if name in want else {}
        )
        assert one.placed.instances == expected


@given(worlds(), worlds())
def test_nothing_is_removed_that_may_not(want: dict[str, Placed], have: dict[str, Placed]) -> None:
    """Without leave no instance ever goes."""
    owned = {name: Owned(one) for name, one in have.items()}
    for action in reconcile(want, owned, set(), no).actions:
        assert not isinstance(action, RemoveInstance)
        if isinstance(action, RemoveNode):
            assert not have[action.node].instances
