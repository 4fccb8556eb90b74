"""Fetch py-consul's source distribution, give it an environment of its own, and run its tests against `linkspan dev`.

The distribution is checked against a pinned hash before anything in it is used. The environment is separate because
py-consul and python-consul2 both install a package called `consul`.
"""

import hashlib
import json
import os
import shutil
import socket
import sys
import tarfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.process import Daemon, LabError, run, state_directory

HERE = Path(__file__).resolve().parent
VERSION = "1.8.0"
SHA256 = "ed9ab0adb335d33ea84f7622f372411f8e288bb09aee5e7632264d28d285a52c"
REQUIREMENTS = (
    "aiohttp>=3.12,<4",
    "packaging",
    "pytest>=9,<10",
    "pytest-asyncio>=1.3,<2",
    "pytest-timeout>=2.4,<3",
    "pytest-xdist>=3.8,<4",
    "requests>=2.32,<3",
)
TEST_TIMEOUT_S = 60
SETTINGS = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""


@dataclass(frozen=True)
class Result:
    """What became of one test of the suite: `passed`, `failed`, `skipped` or `left out`."""

    test: str
    outcome: str
    why: str


def source() -> Path:
    """The unpacked source distribution; fetched once.

    Raises:
        LabError: it cannot be fetched, or is not the one that is pinned.
    """
    cache = cache_directory("pyconsul")
    folder = cache / f"py_consul-{VERSION}"
    with locked(cache):
        archive = cache / f"py_consul-{VERSION}.tar.gz"
        if not archive.exists():
            words = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
            run([*words, "--no-binary", ":all:", "-d", cache, f"py-consul=={VERSION}"], timeout_s=300)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            archive.unlink()
            raise LabError(f"{archive.name} has SHA-256 {found}, expected {SHA256}: it was removed")
        shutil.rmtree(
            folder, ignore_errors=True
        )  # so that what runs is what was published, whatever happened to the copy
        with tarfile.open(archive) as tar:
            # What may be unpacked is known by its hash; the filter is not in Debian 12's Python (3.11.2), and later ones want it.
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(cache, **safe)
    return folder


def environment() -> Path:
    """The Python of the suite's own virtual environment; made once a set of requirements."""
    cache = cache_directory("pyconsul")
    key = hashlib.sha256(f"{sys.version}{REQUIREMENTS}".encode()).hexdigest()[:16]
    folder = cache / f"venv-{key}"
    python = folder / "bin" / "python"
    with locked(cache):
        if not (folder / ".complete").exists():
            venv.create(folder, with_pip=True, clear=True)
            run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS], timeout_s=600)
            (folder / ".complete").touch()
    return python


@contextmanager
def standing_instance(command: Path, log: Path) -> Iterator[None]:
    """Somebody on port 8500, which two tests probe: ours, unless the computer has one already."""
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", 8500)) == 0
    if taken:
        yield
        return
    daemon = Daemon("linkspan dev", [command, "dev", "--mesh-port", "0", "--dns-port", "-1"], log)
    try:
        daemon.wait_until(lambda: b"API on" in log.read_bytes(), "an API on port 8500", timeout_s=30)
        yield
    finally:
        daemon.stop()


def run_suite(command: Path, *tests: str, workers: int = 2, whole: bool = True) -> list[Result]:
    """Run the suite, or some of its tests, and say what became of each.

    Raises:
        LabError: it could not be run to its end.
    """
    folder, python = source(), environment()
    with state_directory("pyconsul") as state, standing_instance(command, state / "standing.log"):
        settings, results = state / "pytest.ini", state / "results.jsonl"
        settings.write_text(SETTINGS)
        words = [python, "-m", "pytest", "-c", settings, "--rootdir", folder, "--confcutdir", folder / "tests"]
        words += [
            "-p",
            "linkspan_instances",
            "-p",
            "no:cacheprovider",
            "-n",
            workers,
            "--timeout",
            TEST_TIMEOUT_S,
            "-q",
        ]
        added = {
            "PYTHONPATH": f"{HERE}{os.pathsep}{folder}",
            "LINKSPAN_COMMAND": str(command),
            "LINKSPAN_LEFT_OUT": str(HERE / "left_out.toml"),
            "LINKSPAN_RESULTS": str(results),
        }
        if whole and not tests:
            added["LINKSPAN_WHOLE"] = "1"
        done = run(
            [*words, *(folder / "tests" / test for test in tests or ("",))], check=False, timeout_s=900, env=added
        )
        if not results.exists():
            raise LabError(f"the suite did not run: {done.stdout[-4000:]}{done.stderr[-4000:]}")
        return [Result(**json.loads(line)) for line in results.read_text().splitlines() if line]
