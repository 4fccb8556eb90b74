"""Subjects: changes that can affect each other share one."""

from catalog.engine.subjects import Claims, lease_holders, subjects_of
from catalog.state import changes as c
from catalog.state.records import Check, Node, ServiceInstance, Session
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
ON_KEY = (c.PutKey("a"), c.DeleteKey("a"))
ON_SESSION = (c.CreateSession(Session("s", "n")), c.DestroySession("s"))


def test_changes_of_one_thing_share_a_subject() -> None:
    """Everything on a node, an entry however it is edited, a record."""
    for group in (ON_NODE, ON_INTENTIONS, ON_RECORD, ON_KEY):
        assert len({subjects_of(change) for change in group}) == 1
        assert all(len(subjects_of(change)) == 1 for change in group)


def test_every_kind_of_change_has_a_subject() -> None:
    """A change that is added later must be thought of here."""
    covered = {type(change) for change in (*ON_NODE, *ON_INTENTIONS, *ON_RECORD, *ON_KEY, *ON_SESSION)}
    covered.add(type(c.DeleteKeys("")))
    assert covered == set(c.Single.__args__)


def test_a_batch_has_those_of_its_changes() -> None:
    """All of them."""
    batch = c.Batch((ON_NODE[0], *ON_RECORD))
    assert subjects_of(batch) == {("node", "n"), ("record", "t", "k")}


def test_a_lock_and_its_session_share_a_subject() -> None:
    """Taking or giving up a lock, making and ending the session; making one also has its node's."""
    assert subjects_of(c.PutKey("a", acquire="s")) == subjects_of(c.PutKey("a", release="s"))
    assert all(("session", "s") in subjects_of(change) for change in (*ON_SESSION, c.PutKey("a", acquire="s")))
    assert ("node", "n") in subjects_of(ON_SESSION[0])


def test_a_transaction_has_those_of_its_operations() -> None:
    """Keys and their sessions, nodes; a tree is all keys."""
    operations = (
        c.KeyOp("lock", "a", session="s"),
        c.NodeOp("get", Node("n1")),
        c.ServiceOp("get", "n2", ServiceInstance("web")),
        c.CheckOp("get", Check("up", node="n3")),
    )
    expected = {("key", "a"), ("session", "s"), ("node", "n1"), ("node", "n2"), ("node", "n3")}
    assert subjects_of(c.Transact(operations)) == expected
    assert subjects_of(c.Transact((c.KeyOp("delete-tree", "a"),))) == {("key",)}


def test_claims_meet_rows_and_whole_families() -> None:
    """A tree meets every key, and every key meets a tree; other families are not concerned."""
    claims = Claims()
    claims.add(subjects_of(c.PutKey("a")))
    assert claims.meet(subjects_of(c.PutKey("a")))
    assert not claims.meet(subjects_of(c.PutKey("b")))
    assert claims.meet(subjects_of(c.DeleteKeys("b")))
    assert not claims.meet(subjects_of(c.Deregister("a")))
    claims = Claims()
    claims.add(subjects_of(c.DeleteKeys("b")))
    assert claims.meet(subjects_of(c.PutKey("a")))


def test_lease_holders() -> None:
    """Whoever grants or restores a lease was heard; a registration without a lease was not."""
    held = c.Register(Node("a"), lease_ttl_s=15)
    assert lease_holders(c.Batch((held, c.Register(Node("b")), c.GrantLease("c"), c.LeaseExpired("d")))) == ("a", "c")
    assert lease_holders(c.LeaseRestored("e")) == ("e",)
    assert lease_holders(ON_RECORD[0]) == ()
