"""The last-known-good on disk: the resources a process held, so that it starts while the catalog is away.

One file: a line of JSON with format, owner and the SHA-256 of the rest, then the resources as JSON. It is replaced whole.
A file that does not fit its checksum, its format or its owner is refused with its reason, never half used.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mesh.identity.keep import make_private_directory, replace_file
from mesh.wire.sync import MAX_BODY_BYTES, Resource

FORMAT = 1


class CacheRefusedError(Exception):
    """The cache on disk cannot be used or written; the text says why."""


class _Head(msgspec.Struct, frozen=True):
    format: int
    owner: str
    sha256: str


class ResourceCache:
    """One file of resources. All methods block on the disk. `owner` names whose they are, e.g. `web@vm-paris`."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner

    def save(self, resources: Iterable[Resource]) -> None:
        """Replace what is kept; after return it is on disk.

        Raises:
            CacheRefusedError: the file cannot be written.
        """
        content = msgspec.json.encode(tuple(resources))
        head = _Head(FORMAT, self._owner, hashlib.sha256(content).hexdigest())
        try:
            make_private_directory(self._path.parent)
            replace_file(self._path, msgspec.json.encode(head) + b"\n" + content)
        except OSError as error:
            raise CacheRefusedError(f"cannot write {self._path}: {error.strerror}") from error

    def load(self) -> tuple[Resource, ...]:
        """What is kept; nothing if there is no file.

        Raises:
            CacheRefusedError: there is a file that cannot be used.
        """
        try:
            with self._path.open("rb") as file:
                whole = file.read(MAX_BODY_BYTES + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise CacheRefusedError(f"cannot read {self._path}: {error.strerror}") from error
        if len(whole) > MAX_BODY_BYTES:
            raise CacheRefusedError(f"{self._path} is larger than {MAX_BODY_BYTES} bytes")
        line, _, content = whole.partition(b"\n")
        try:
            head = msgspec.json.decode(line, type=_Head)
            if head.format != FORMAT:
                raise CacheRefusedError(f"{self._path} is of format {head.format}, not {FORMAT}")
            if head.owner != self._owner:
                raise CacheRefusedError(f"{self._path} belongs to {head.owner!r}, not to {self._owner!r}")
            if head.sha256 != hashlib.sha256(content).hexdigest():
                raise CacheRefusedError(f"{self._path} is damaged: its checksum does not fit")
            return msgspec.json.decode(content, type=tuple[Resource, ...])
        except msgspec.DecodeError as error:
            raise CacheRefusedError(f"{self._path} is damaged: {error}") from error
