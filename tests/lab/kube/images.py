"""The images that a lab cluster holds: pause, busybox, coredns, and Linkspan with its own Python.

It must never take a file from a place that only this computer has: all come from the cache's builds and Debian.
"""

import hashlib
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.hosts.rootfs import root_file_system
from tests.lab.kube.build import binaries
from tests.lab.kube.image import Image, Layer, write_image
from tests.lab.process import run
from tests.lab.release import release

PAUSE = "lab/pause:1"
BUSYBOX = "lab/busybox:1"
COREDNS = "lab/coredns:1"
LINKSPAN = "linkspan:lab"

_UNUSED = frozenset({"__pycache__", "test", "tests", "idlelib", "ensurepip", "tkinter", "lib2to3", "pydoc_data"})
_PASSWD = "root:x:0:0:root:/root:/sbin/nologin\nlinkspan:x:65532:65532:linkspan:/tmp:/sbin/nologin\n"
# Binary wheels bring their libraries with them but for those of the C and C++ run time (manylinux policy, PEP 600).
_RUN_TIME = ("libgcc_s.so.1", "libstdc++.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def base_images() -> list[Path]:
    """The archives of pause, busybox and coredns."""
    place = binaries(("pause", "coredns"))
    pause, busybox, coredns = Layer(), Layer(), Layer()
    pause.add(place / "pause", "/pause")
    coredns.add(place / "coredns", "/coredns")
    _add_busybox(busybox)
    return [
        _cached(Image(PAUSE, entrypoint=["/pause"]), pause),
        _cached(Image(BUSYBOX, command=["sh"]), busybox),
        _cached(Image(COREDNS, entrypoint=["/coredns"]), coredns),
    ]


def linkspan_image() -> Path:
    """The archive of `linkspan:lab`: /opt/linkspan on Debian's Python 3.11, run as user 65532, made from this tree."""
    layer = Layer()
    root = root_file_system()
    _add_python(layer, root)
    _add_busybox(layer)
    layer.add_tree(release() / "opt/linkspan", "/opt/linkspan", without=frozenset({"__pycache__"}))
    layer.link("/usr/bin/linkspan", "/opt/linkspan/bin/linkspan")
    layer.write("/etc/passwd", _PASSWD)
    layer.write("/etc/group", "root:x:0:\nlinkspan:x:65532:\n")
    layer.add(root / _CERTIFICATES, f"/{_CERTIFICATES}")
    environment = ["HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"]
    image = Image(LINKSPAN, entrypoint=["/usr/bin/linkspan"], user="65532:65532", environment=environment)
    return _cached(image, layer)


def _add_python(layer: Layer, root: Path) -> None:
    """Debian's Python 3.11 with its standard library and every shared library of both."""
    layer.add(root / "usr/bin/python3.11", "/usr/bin/python3.11")
    layer.link("/usr/bin/python3", "python3.11")
    layer.add_tree(root / "usr/lib/python3.11", "/usr/lib/python3.11", without=_UNUSED)
    for pattern in _RUN_TIME:
        for library in (root / "usr/lib").glob(f"*-linux-gnu/{pattern}"):
            layer.add(library.resolve(), f"/{library.relative_to(root)}")
    layer.add_libraries(root)


def _add_busybox(layer: Layer) -> None:
    layer.add(Path("/bin/busybox"), "/bin/busybox")
    for applet in run(["/bin/busybox", "--list"]).stdout.split():
        if applet != "busybox":
            layer.link(f"/bin/{applet}", "busybox")


def _cached(image: Image, layer: Layer) -> Path:
    """The archive of the image, written unless one of the same files is there."""
    digest = hashlib.sha256(repr((image, sorted(layer.links.items()))).encode())
    for path, (source, mode) in sorted(layer.files.items()):
        size = source if isinstance(source, bytes) else (str(source), source.stat().st_size, source.stat().st_mtime_ns)
        digest.update(repr((path, size, mode)).encode())
    cache = cache_directory("images")
    name = image.name.replace("/", "-").replace(":", "-")
    archive = cache / f"{name}-{digest.hexdigest()[:16]}.tar"
    with locked(cache):
        if not archive.exists():
            for old in cache.glob(f"{name}-*"):
                old.unlink()
            partial = cache / f"{name}.partial"
            write_image(image, layer, partial)
            partial.rename(archive)
    return archive
