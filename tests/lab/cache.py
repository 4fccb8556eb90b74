"""Where the lab keeps what is costly to make: binaries, root file systems, releases.

It must never hold anything that cannot be made again; removing the directory is always safe.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def cache_directory(part: str) -> Path:
    """The cache of one part: `$LINKSPAN_LAB_CACHE/part`, or `linkspan/part` in the user's cache directory."""
    chosen = os.environ.get("LINKSPAN_LAB_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = (Path(chosen) if chosen else user / "linkspan") / part
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the only right to write into a cache directory; other test runs wait here."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
