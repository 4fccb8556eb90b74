"""Plain tables."""

from catalog.client.table import table


def test_columns_are_as_wide_as_they_must_be() -> None:
    assert table(("Name", "N"), [("web", 1), ("a-long-name", 20)]) == "Name         N\nweb          1\na-long-name  20"


def test_cells_hold_no_control_characters() -> None:
    """What a registration says must not move the reader's cursor."""
    assert table(("Name",), [("a\x1b[2Jb\nc",)]) == "Name\na?[2Jb?c"


def test_no_rows_leave_the_head() -> None:
    assert table(("Name", "N"), []) == "Name  N"
