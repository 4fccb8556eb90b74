"""Every package and module says what it is; names that say nothing are refused."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("mesh", "catalog", "agents")
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}


def modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def test_every_module_has_a_door_sign() -> None:
    """Packages and modules open with a docstring of at least one sentence."""
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if len((ast.get_docstring(ast.parse(path.read_text())) or "").strip()) < 20
    ]
    assert silent == []


def test_names_say_something() -> None:
    """No module is called utils, helpers, common or manager."""
    assert [str(path.relative_to(ROOT)) for path in modules() if path.stem in EMPTY_NAMES] == []


def test_every_package_folder_is_a_package() -> None:
    """A folder with modules has an __init__ that explains it."""
    folders = {path.parent for path in modules()}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()] == []
