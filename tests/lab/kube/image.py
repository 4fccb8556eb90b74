"""Make container images without Docker: files into one layer, written as a docker-archive that containerd imports.

It must never run anything of the image, and the same files always give the same image.
"""

import hashlib
import io
import json
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.process import run

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DIRECTORIES = {"dev": 0o755, "etc": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var": 0o755}


@dataclass(frozen=True)
class Image:
    """What an image runs: its name with tag and the defaults of a container made from it."""

    name: str
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = ""
    environment: Sequence[str] = ()


@dataclass
class Layer:
    """The files of an image, by their path inside: the bytes or the file to read, or the target of a link."""

    files: dict[str, tuple[Path | bytes, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, source: Path, destination: str) -> None:
        """Add one file under an absolute path of the image."""
        mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
        self.files[destination.lstrip("/")] = (source, mode)

    def write(self, destination: str, text: str) -> None:
        """Add a small text file."""
        self.files[destination.lstrip("/")] = (text.encode(), 0o644)

    def link(self, destination: str, target: str) -> None:
        """Add a symbolic link."""
        self.links[destination.lstrip("/")] = target

    def add_tree(self, source: Path, destination: str, *, without: frozenset[str] = frozenset()) -> None:
        """Add a directory with its links; directories whose name is in `without` are left out everywhere."""
        for directory, folders, names in os.walk(source):
            folders[:] = sorted(set(folders) - without)
            inside = f"{destination}/{Path(directory).relative_to(source)}".replace("/.", "", 1)
            inside = inside if directory != str(source) else destination
            for name in names:
                path = Path(directory, name)
                if path.is_symlink():
                    self.link(f"{inside}/{name}", str(path.readlink()))
                elif path.is_file():
                    self.add(path, f"{inside}/{name}")

    def add_libraries(self, root: Path) -> None:
        """Add the shared libraries that the layer's ELF files need, as they lie in the root file system `root`."""
        machine_code = [f"/{path}" for path, (source, _) in self.files.items() if _is_elf(source)]
        inside = [path for path in machine_code if (root / path[1:]).exists()]
        told = run(["chroot", root, "ldd", *inside], check=False).stdout
        for path in sorted(set(re.findall(r"(?:=> )?(/\S+) \(0x", told))):
            real = Path(run(["chroot", root, "realpath", path]).stdout.strip())
            self.add(root / str(real)[1:], path)


def _is_elf(source: Path | bytes) -> bool:
    if isinstance(source, bytes):
        return False
    with source.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def write_image(image: Image, layer: Layer, archive: Path) -> None:
    """Write the image as a docker-archive."""
    blob = archive.with_suffix(".layer")
    try:
        with tarfile.open(blob, "w") as output:
            for entry, content in _entries(layer):
                output.addfile(entry, content)
        digest = hashlib.sha256(blob.read_bytes()).hexdigest()
        config = _config(image, digest)
        name = hashlib.sha256(config).hexdigest() + ".json"
        manifest = [{"Config": name, "RepoTags": [image.name], "Layers": ["layer.tar"]}]
        with tarfile.open(archive, "w") as output:
            _add_bytes(output, name, config)
            output.add(blob, "layer.tar")
            _add_bytes(output, "manifest.json", json.dumps(manifest).encode())
    finally:
        blob.unlink(missing_ok=True)


def _entries(layer: Layer) -> Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase | None]]:
    """The members of the layer, parents first, without times, owned by root."""
    folders = dict(_DIRECTORIES)
    for path in (*layer.files, *layer.links):
        for parent in Path(path).parents:
            folders.setdefault(str(parent), 0o755)
    folders.pop(".", None)
    for path in sorted(folders):
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode = tarfile.DIRTYPE, folders[path]
        yield entry, None
    for path, target in sorted(layer.links.items()):
        entry = tarfile.TarInfo(path)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        yield entry, None
    for path, (source, mode) in sorted(layer.files.items()):
        data = source if isinstance(source, bytes) else source.read_bytes()
        entry = tarfile.TarInfo(path)
        entry.mode, entry.size = mode, len(data)
        yield entry, io.BytesIO(data)


def _config(image: Image, digest: str) -> bytes:
    settings = {
        "Env": [_PATH, *image.environment],
        "Entrypoint": list(image.entrypoint),
        "Cmd": list(image.command),
        "User": image.user,
    }
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {key: value for key, value in settings.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "linkspan lab"}],
    }
    return json.dumps(config).encode()


def _add_bytes(output: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    output.addfile(entry, io.BytesIO(data))
