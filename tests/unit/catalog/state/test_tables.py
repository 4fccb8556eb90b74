"""Tables: groups follow the rows, and undoing leaves nothing behind."""

from catalog.state.records import Check, Node, ServiceInstance
from catalog.state.tables import Changed, Tables
from mesh.model.endpoint import Health


def test_groups_follow_their_rows() -> None:
    """A row that changes group leaves the old one; a group without rows is gone."""
    tables = Tables()
    tables.begin()
    tables.checks.put(Check("up", node="n", status=Health.PASSING))
    tables.checks.put(Check("up", node="n", status=Health.WARNING))
    tables.end()
    assert dict(tables.checks.by("status", Health.PASSING)) == {}
    assert list(tables.checks.by("status", Health.WARNING)) == [("n", "up")]
    assert list(tables.checks.group_values("status")) == [Health.WARNING]


def test_end_says_what_changed_net() -> None:
    """A row written twice is one change; one written and taken away again is none."""
    tables = Tables()
    tables.begin()
    tables.nodes.put(Node("a", "1"))
    tables.nodes.put(Node("a", "2"))
    tables.nodes.put(Node("b"))
    tables.nodes.remove("b")
    assert tables.dirty()
    assert tables.end() == [Changed("nodes", None, Node("a", "2"))]


def test_undo_restores_rows_and_groups() -> None:
    """Whatever was put, replaced and removed since `begin`."""
    tables = Tables()
    kept = ServiceInstance("web", id="1", node="n")
    tables.begin()
    tables.instances.put(kept)
    tables.end()
    tables.begin()
    tables.instances.put(ServiceInstance("api", id="1", node="n"))
    tables.instances.put(ServiceInstance("api", id="2", node="n"))
    tables.instances.remove(("n", "1"))
    tables.undo()
    assert tables.instances.rows == {("n", "1"): kept}
    assert dict(tables.instances.by("service", "web")) == {("n", "1"): kept}
    assert dict(tables.instances.by("service", "api")) == {}
    tables.begin()
    assert not tables.dirty()
    assert tables.end() == []
