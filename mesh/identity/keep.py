"""The leaf on disk, so that a process restarts with its identity while the catalog is away.

One file holds certificate and key, so that they always fit: 0600 in a directory of 0700, replaced by rename after fsync.
A file that cannot be read or that others may read is refused with its reason, never used.
"""

import os
import stat
from pathlib import Path

import msgspec

from mesh.identity.leaf import Leaf

FILE_NAME = "leaf.json"
MAX_BYTES = 256 * 1024


class KeptLeafError(Exception):
    """The kept leaf cannot be used or written; the text says why and what to do."""


class LeafStore:
    """A directory that holds this process's leaf. All methods block on the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME

    def save(self, leaf: Leaf) -> None:
        """Replace the kept leaf; after return it is on disk.

        Raises:
            KeptLeafError: the directory or file cannot be written.
        """
        try:
            make_private_directory(self._directory)
            replace_file(self._path, msgspec.json.encode(leaf))
        except OSError as error:
            raise KeptLeafError(f"cannot keep the certificate in {self._directory}: {error.strerror}") from error

    def load(self) -> Leaf | None:
        """The kept leaf, or None if there is none.

        Raises:
            KeptLeafError: there is one that cannot be used.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeptLeafError(f"cannot read {self._path}: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                raise KeptLeafError(
                    f"{self._path} may be read by others: remove it; the key in it must not be used again"
                )
            content = file.read(MAX_BYTES + 1)
        try:
            if len(content) > MAX_BYTES:
                raise KeptLeafError(f"{self._path} is larger than a leaf can be: remove it")
            return msgspec.json.decode(content, type=Leaf)
        except msgspec.DecodeError as error:
            raise KeptLeafError(f"{self._path} holds no leaf: {error}: remove it") from error


def make_private_directory(directory: Path) -> None:
    """Make `directory` with mode 0700, or give it that mode.

    Raises:
        OSError: it cannot be made or is not ours.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) != 0o700:
        directory.chmod(0o700)


def replace_file(path: Path, content: bytes) -> None:
    """Replace `path` by a file of mode 0600 with `content`, whole or not at all; on disk when this returns.

    Raises:
        OSError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
