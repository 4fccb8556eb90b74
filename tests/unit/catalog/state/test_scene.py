"""Rows: an equal one is never written again; compares."""

import pytest

from catalog.state.records import Node
from catalog.state.scene import Scene, matches, put_row
from catalog.state.tables import Tables


def test_an_equal_row_keeps_its_index() -> None:
    """The index moves with the row, and the creation's stays for ever."""
    tables = Tables()
    for index, address in ((2, "a"), (3, "a"), (4, "b")):
        put_row(Scene(tables, index, 0.0), tables.nodes, "n", Node("n", address))
        tables.end()
    assert tables.nodes.rows["n"] == Node("n", "b", create_index=2, modify_index=4)


@pytest.mark.parametrize(
    ("cas", "index", "fits"),
    [
        (None, None, True),
        (None, 3, True),
        (0, None, True),
        (0, 3, False),
        (3, 3, True),
        (2, 3, False),
        (3, None, False),
    ],
)
def test_a_compare_fits(cas: int | None, index: int | None, fits: bool) -> None:
    """None always, 0 only where nothing is, else only the row's own index."""
    assert matches(cas, None if index is None else Node("n", modify_index=index)) is fits
