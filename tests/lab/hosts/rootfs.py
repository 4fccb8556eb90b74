"""The root file system of the lab's machines: Debian bookworm, made once by debootstrap, then only read.

It must never be written to after it stands: machines and images put layers over it.
"""

import hashlib
import shutil
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.process import run

_SUITE = "bookworm"
_PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "nftables",
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
)


def root_file_system() -> Path:
    """The directory of the ready root file system; makes it when there is none (about 50 s)."""
    key = hashlib.sha256(" ".join((_SUITE, *_PACKAGES)).encode()).hexdigest()[:12]
    cache = cache_directory("hosts")
    ready = cache / f"rootfs-{key}"
    with locked(cache):
        if not ready.exists():
            building = cache / "rootfs.building"
            shutil.rmtree(building, ignore_errors=True)
            include = "--include=" + ",".join(_PACKAGES)
            run(["debootstrap", "--variant=minbase", include, _SUITE, building], timeout_s=900)
            _settle(building)
            building.rename(ready)
    return ready


def _settle(root: Path) -> None:
    """Make the tree fit to be many machines: no identity of its own, no name servers, no login prompts."""
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").write_text("")
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    for unit in ("console-getty.service", "systemd-networkd.service", "systemd-resolved.service", "apt-daily.timer"):
        mask = root / "etc/systemd/system" / unit
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
