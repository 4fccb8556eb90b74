"""Subjects: changes that can affect each other share one."""

from catalog.engine.subjects import lease_holders, subjects_of
from catalog.state import changes as c
from catalog.state.records import Node
from mesh.model.endpoint import Health

ON_NODE = (
    c.Register(Node("n")),
    c.Deregister("n", service_id="web"),
    c.UpdateCheck("n", "up", Health.PASSING),
    c.GrantLease("n"),
    c.LeaseExpired("n"),
    c.LeaseRestored("n"),
    c.ReapNode("n"),
)
ON_INTENTIONS = (
    c.PutConfig("service-intentions", "web", {}),
    c.DeleteConfig("service-intentions", "web"),
    c.PutIntention("web", {"Name": "api"}),
    c.DeleteIntention("web", {"Name": "api"}),
)
ON_RECORD = (c.PutRecord("t", "k", b""), c.DeleteRecord("t", "k"))


def test_changes_of_one_thing_share_a_subject() -> None:
    """Everything on a node, an entry however it is edited, a record."""
    for group in (ON_NODE, ON_INTENTIONS, ON_RECORD):
        assert len({subjects_of(change) for change in group}) == 1
        assert all(len(subjects_of(change)) == 1 for change in group)


def test_every_kind_of_change_has_a_subject() -> None:
    """A change that is added later must be thought of here."""
    covered = {type(change) for change in (*ON_NODE, *ON_INTENTIONS, *ON_RECORD)}
    assert covered == set(c.Single.__args__)


def test_a_batch_has_those_of_its_changes() -> None:
    """All of them."""
    batch = c.Batch((ON_NODE[0], *ON_RECORD))
    assert subjects_of(batch) == {("node", "n"), ("record", "t", "k")}


def test_lease_holders() -> None:
    """Whoever grants or restores a lease was heard; a registration without a lease was not."""
    held = c.Register(Node("a"), lease_ttl_s=15)
    assert lease_holders(c.Batch((held, c.Register(Node("b")), c.GrantLease("c"), c.LeaseExpired("d")))) == ("a", "c")
    assert lease_holders(c.LeaseRestored("e")) == ("e",)
    assert lease_holders(ON_RECORD[0]) == ()
