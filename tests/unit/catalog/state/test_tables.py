"""Tables: groups follow the rows, and undoing leaves nothing behind."""

from catalog.state.records import Check, KeyEntry, Node, ServiceInstance
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


def test_keys_are_found_by_prefix_in_order() -> None:
    """Also after undoing; a row that is written again is there once."""
    tables = Tables()
    tables.begin()
    for key in ("b", "a/2", "a/1", "a", "a/1", "é"):
        tables.keys.put(KeyEntry(key))
    tables.end()
    tables.begin()
    tables.keys.remove("a/1")
    tables.keys.put(KeyEntry("a/0"))
    assert [row.key for row in tables.keys.under("a")] == ["a", "a/0", "a/2"]
    tables.undo()
    assert [row.key for row in tables.keys.under("a/")] == ["a/1", "a/2"]
    assert [row.key for row in tables.keys.under("")] == ["a", "a/1", "a/2", "b", "é"]
    assert list(tables.keys.under("c")) == []


def test_nodes_are_touched_by_their_checks() -> None:
    """What sessions rest on: nodes and checks, not instances."""
    tables = Tables()
    tables.begin()
    tables.nodes.put(Node("a"))
    tables.checks.put(Check("up", node="b"))
    tables.instances.put(ServiceInstance("web", node="c"))
    assert tables.touched_nodes() == {"a", "b"}
