"""The book: what a reading lacks is kept until it is confirmed."""

from agents.bridge.rules.book import Book
from agents.bridge.rules.marks import Identity, Mark, mirrored_node
from agents.bridge.rules.rows import CheckRow, InstanceRow, NodeRow, Sighting

MARK = Mark("b", Identity("dc1"))


def seen(node: str, service: str, instance_id: str = "", status: str = "passing") -> Sighting:
    return Sighting(
        NodeRow(node, "192.0.2.1", checks=(CheckRow("n", "n", status),)),
        InstanceRow(instance_id or f"{service}-1", service, "192.0.2.1", 80),
    )


def standing(book: Book) -> list[str]:
    return sorted(key for one in book.desired().values() for key in one.instances)


def test_what_is_missing_stays_until_confirmed() -> None:
    """A note never takes away; a confirmation does, and tells which nodes changed."""
    book = Book(MARK, connect=False)
    book.note("web", [seen("n1", "web", "a"), seen("n2", "web", "b")])
    book.note("web", [seen("n1", "web", "a")])
    assert standing(book) == ["a", "b"]
    assert book.missing == {"web"}
    assert not book.is_confirmed("web")
    assert mirrored_node("n2", MARK) in book.confirm("web", [seen("n1", "web", "a")], book.readings)
    assert standing(book) == ["a"]
    assert book.missing == frozenset()
    assert book.is_confirmed("web")
    assert (book.services, book.size) == ({"web"}, 1)
    book.doubt()
    assert not book.is_confirmed("web")


def test_a_confirmation_that_was_overtaken_says_nothing() -> None:
    """What was noted after it was asked for is newer."""
    book = Book(MARK, connect=False)
    since = book.readings
    book.note("web", [seen("n1", "web")])
    assert book.confirm("web", [], since) == frozenset()
    assert standing(book) == ["web-1"]
    assert not book.is_confirmed("web")


def test_the_newest_reading_says_how_the_node_is() -> None:
    """A node is read with each of its services; an instance that changed its service stands once."""
    book = Book(MARK, connect=False)
    book.note("web", [seen("n1", "web", "x")])
    book.note("api", [seen("n1", "api", "x", status="critical")])
    (placed,) = book.desired().values()
    assert placed.node.checks[0].status == "critical"
    assert placed.instances["x"].service == "api"
    assert book.services_on("n1") == {"web", "api"}
    assert book.desired([mirrored_node("n1", MARK), "stranger"]) == book.desired()


def test_marked_rows_never_enter() -> None:
    """Nor does a service that has nothing else become one to be mirrored."""
    book = Book(MARK, connect=False)
    one = seen("n1", "web")
    book.note("web", [Sighting(one.node, InstanceRow("x", "web", "a", 1, meta={"linkspan-bridge": "z"}))])
    assert book.desired() == {}
    assert book.knows("web")
    assert not book.knows("api")


def test_only_what_changed_is_told() -> None:
    """A reading of a large service names the nodes that differ, and an unchanged row does not hide a newer one."""
    book = Book(MARK, connect=False)
    rows = [seen(f"n{number}", "web", f"web-{number}") for number in range(50)]
    book.note("web", rows)
    assert book.note("web", rows) == frozenset()
    rows[7] = seen("n7", "web", "web-7", "critical")
    assert book.note("web", rows) == {mirrored_node("n7", MARK)}
    book.note("api", [seen("n7", "api")])
    book.note("web", [*rows[:7], seen("n7", "web", "web-7", "warning"), *rows[8:]])
    book.note("api", [seen("n7", "api")])
    assert book.desired([mirrored_node("n7", MARK)])[mirrored_node("n7", MARK)].node.checks[0].status == "warning"
