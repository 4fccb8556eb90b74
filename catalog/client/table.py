"""Rows as a plain text table, columns as wide as they must be. No colours, no frames: made to be read and to be cut."""

from collections.abc import Sequence


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table with its head; cells hold no line breaks or other control characters."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cell(value: object) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(value))
