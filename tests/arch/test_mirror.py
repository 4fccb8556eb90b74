"""Unit tests mirror the source: `mesh/decide/route.py` is held by `tests/unit/mesh/decide/test_route*.py`."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("mesh", "catalog", "agents")

# Composition roots and pure tables that other suites hold (the reason beside each); the count may only fall.
HELD_ELSEWHERE: dict[str, str] = {}
MOST_HELD_ELSEWHERE = 0


def has_logic(path: Path) -> bool:
    """Whether a module defines a function with a decision in it, so that a table test makes sense."""
    tree = ast.parse(path.read_text())
    return any(isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.Match) for node in ast.walk(tree))


def test_every_module_with_logic_has_its_test() -> None:
    """A module that decides anything has a test module of its name in the mirrored folder."""
    missing = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if path.name == "__init__.py" or not has_logic(path) or name in HELD_ELSEWHERE:
                continue
            folder = ROOT / "tests" / "unit" / path.parent.relative_to(ROOT)
            if not list(folder.glob(f"test_{path.stem}*.py")):
                missing.append(name)
    assert missing == []


def test_unit_tests_have_a_source() -> None:
    """A unit test's folder exists in the source, so that nothing tests a room that is gone."""
    strays = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests" / "unit").rglob("test_*.py")
        if not (ROOT / path.parent.relative_to(ROOT / "tests" / "unit")).is_dir()
    ]
    assert strays == []


def test_the_list_only_shrinks() -> None:
    """Modules held by other suites never grow in number, and each one still exists."""
    assert len(HELD_ELSEWHERE) <= MOST_HELD_ELSEWHERE
    assert [name for name in HELD_ELSEWHERE if not (ROOT / name).exists()] == []
