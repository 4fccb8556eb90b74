"""What the repository may not hold: addresses of registries, paths of somebody's machine, mocks, sleeping tests."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = (
    re.compile(r"https?://(files\.pythonhosted|pypi|registry\.npmjs|proxy\.golang|deb\.debian|crates)\S*"),
    re.compile(r"(^|[\s\"'=(])/(home|Users)/[a-z]"),
)


def tracked() -> list[Path]:
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]


def test_no_registry_or_machine_address() -> None:
    """No tracked file names a package registry's host or a person's directory."""
    hits = []
    for path in tracked():
        if path.suffix in {".png", ".ico"} or path == Path(__file__):
            continue
        text = path.read_text(errors="replace")
        hits += [f"{path.relative_to(ROOT)}: {match.group(0)}" for rule in FORBIDDEN for match in rule.finditer(text)]
    assert hits == []


def test_tests_never_patch() -> None:
    """Fakes at the seam: no mocks and no monkeypatching anywhere in the tests."""
    patching = re.compile(r"\b(unittest\.mock|MagicMock|monkeypatch\b|mocker\b)")
    hits = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__) and patching.search(path.read_text())
    ]
    assert hits == []


def test_unit_tests_never_sleep() -> None:
    """Unit and contract tests use virtual time: no time.sleep."""
    hits = [
        str(path.relative_to(ROOT))
        for folder in ("unit", "contract", "arch")
        for path in (ROOT / "tests" / folder).rglob("*.py")
        if path != Path(__file__) and "time.sleep(" in path.read_text()
    ]
    assert hits == []
