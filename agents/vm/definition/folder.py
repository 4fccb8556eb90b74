"""The folder of service files: read, watched by polling, last good definition kept when a file turns bad.

The only part of this room that touches files. It never writes, and never follows into sub-folders.
"""

from pathlib import Path

import msgspec

from agents.vm.definition.document import MAX_FILE_BYTES, DocumentError, parse_document
from agents.vm.definition.values import CheckDefinition, Document, ServiceDefinition

SUFFIXES = (".json", ".yaml", ".yml")
MAX_FILES = 1024

_Stamp = tuple[int, int, int]


class FolderView(msgspec.Struct, frozen=True):
    """What the folder defines now. `problems` maps a file's name to what is wrong with it; its last good content still counts."""

    services: dict[str, ServiceDefinition] = {}
    checks: dict[str, CheckDefinition] = {}
    problems: dict[str, str] = {}


class FolderChange(msgspec.Struct, frozen=True):
    """The way from one view to the next."""

    put_services: tuple[ServiceDefinition, ...] = ()
    put_checks: tuple[CheckDefinition, ...] = ()
    gone_services: tuple[str, ...] = ()
    gone_checks: tuple[str, ...] = ()


def compare(old: FolderView, new: FolderView) -> FolderChange:
    """What to register and what to take away to get from `old` to `new`. Pure."""
    return FolderChange(
        put_services=tuple(one for key, one in new.services.items() if old.services.get(key) != one),
        put_checks=tuple(one for key, one in new.checks.items() if old.checks.get(key) != one),
        gone_services=tuple(key for key in old.services if key not in new.services),
        gone_checks=tuple(key for key in old.checks if key not in new.checks),
    )


class Folder:
    """The files below `path` (a folder, or one file); `beside` as in `parse_document`. `poll` blocks on the disk: call it in a thread."""

    def __init__(self, path: Path, node: str, beside: frozenset[str] = frozenset()) -> None:
        self._path = path
        self._node = node
        self._beside = beside
        self._stamps: dict[Path, _Stamp] | None = None
        self._good: dict[Path, Document] = {}
        self._bad: dict[Path, str] = {}

    def poll(self, *, force: bool = False) -> FolderView | None:
        """The view if any file came, went or changed since the last call (or `force`), else None."""
        stamps, trouble = self._look()
        if stamps == self._stamps and not force and trouble is None:
            return None
        before = self._stamps or {}
        if trouble is None:
            for path in set(self._good) | set(self._bad):
                if path not in stamps:  # deleted on purpose: its definitions go
                    self._good.pop(path, None)
                    self._bad.pop(path, None)
            for path, stamp in stamps.items():
                if force or before.get(path) != stamp:
                    self._read(path)
            self._stamps = stamps
        return self._view(trouble)

    def _look(self) -> tuple[dict[Path, _Stamp], str | None]:
        try:
            found = [self._path] if self._path.is_file() else sorted(self._path.iterdir())
            files = [path for path in found if path.suffix in SUFFIXES and not path.name.startswith(".")]
            if len(files) > MAX_FILES:
                return {}, f"{len(files)} files, at most {MAX_FILES} are read"
            stats = [(path, path.stat()) for path in files]
        except OSError as error:
            return {}, f"cannot be read: {error.strerror or error}"
        return {path: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for path, stat in stats}, None

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            self._good[path] = parse_document(
                data, is_json=path.suffix == ".json", node=self._node, beside=self._beside
            )
            self._bad.pop(path, None)
        except OSError as error:
            self._bad[path] = f"cannot be read: {error.strerror or error}"
        except DocumentError as error:
            self._bad[path] = str(error)

    def _view(self, trouble: str | None) -> FolderView:
        services: dict[str, ServiceDefinition] = {}
        checks: dict[str, CheckDefinition] = {}
        problems = {str(path): self._kept(path, text) for path, text in self._bad.items()}
        if trouble is not None:
            problems[str(self._path)] = trouble
        for path in sorted(self._good):
            document = self._good[path]
            for service in document.services:
                if service.id in services:
                    problems.setdefault(
                        str(path), f"service {service.id!r} is already defined by another file: ignored here"
                    )
                    continue
                services[service.id] = service
            for check in document.checks:
                if check.check_id in checks:
                    problems.setdefault(
                        str(path), f"check {check.check_id!r} is already defined by another file: ignored here"
                    )
                    continue
                checks[check.check_id] = check
        return FolderView(services, checks, problems)

    def _kept(self, path: Path, text: str) -> str:
        return f"{text} (its last good content stays in force)" if path in self._good else text
