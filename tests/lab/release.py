"""Linkspan as it lies on a host: a directory /opt/linkspan for Python 3.11 of Debian bookworm, made from this tree.

The machines lay it over their disk, the image takes it in. It must never use what is installed in the developer's
environment: dependencies come by pip, our own code by the wheel that a user would get.
"""

import hashlib
import re
import shutil
import sys
import tomllib
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.process import LabError, run

_TREE = Path(__file__).resolve().parents[2]
_CONSTRAINTS = _TREE / "constraints.txt"
_HOME = "opt/linkspan"
_PACKAGES = f"{_HOME}/lib/python3.11/site-packages"
_PYTHON = ("--python-version=3.11", "--implementation=cp", "--only-binary=:all:")
_LAUNCHER = "#!/opt/linkspan/bin/python3\nfrom mesh.cli import main\n\nmain()\n"


def release() -> Path:
    """The directory to lay over a root: `opt/linkspan`, `usr/bin/linkspan` and our systemd units; cached by content."""
    cache = cache_directory("release")
    with locked(cache):
        ready = cache / f"linkspan-{_fingerprint()}"
        if not ready.exists():
            dependencies = _dependencies(cache)
            for old in cache.glob("linkspan-*"):
                shutil.rmtree(old, ignore_errors=True)  # a running test may still hold it under its machines
            building = cache / "building"
            shutil.rmtree(building, ignore_errors=True)
            shutil.copytree(dependencies, building / _PACKAGES, copy_function=_hard_link)
            _install_wheel(building)
            _finish(building)
            building.rename(ready)
    return ready


def _hard_link(source: str, destination: str) -> str:
    Path(destination).hardlink_to(source)
    return destination


def _sources() -> list[Path]:
    folders = ("mesh", "catalog", "agents", "systemd")
    found = [path for folder in folders for path in (_TREE / folder).rglob("*") if path.is_file()]
    return sorted([_TREE / "pyproject.toml", *(path for path in found if "__pycache__" not in path.parts)])


def _fingerprint() -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in _sources():
        digest.update(f"{path.relative_to(_TREE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _dependencies(cache: Path) -> Path:
    """A directory with every dependency of pyproject.toml (the `k8s` extra too), as binary wheels for Python 3.11."""
    project = tomllib.loads((_TREE / "pyproject.toml").read_text())["project"]
    wanted = sorted([*project["dependencies"], *project["optional-dependencies"]["k8s"]])
    key = hashlib.sha256("\n".join([*wanted, _CONSTRAINTS.read_text()]).encode()).hexdigest()[:16]
    ready = cache / f"dependencies-{key}"
    if not ready.exists():
        building = cache / "dependencies.building"
        shutil.rmtree(building, ignore_errors=True)
        # pip refuses to resolve for another Python without wheels only; for the same one it may build.
        python = _PYTHON if sys.version_info[:2] != (3, 11) else ()
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(building)]
        run([*pip, *python, "--constraint", str(_CONSTRAINTS), *wanted], timeout_s=600)
        shutil.rmtree(building / "bin", ignore_errors=True)
        building.rename(ready)
    return ready


def _install_wheel(building: Path) -> None:
    wheels = building / "wheels"
    pip = [sys.executable, "-m", "pip"]
    run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(_TREE)], timeout_s=300)
    (wheel,) = wheels.glob("*.whl")
    options = ["--quiet", "--no-deps", "--no-compile", "--target", str(building / _PACKAGES)]
    run([*pip, "install", *options, wheel], timeout_s=120)
    shutil.rmtree(wheels)
    shutil.rmtree(building / _PACKAGES / "bin", ignore_errors=True)


def _finish(building: Path) -> None:
    """Make /opt/linkspan a virtual environment of the host's Python, so that child processes find the same modules."""
    home = building / _HOME
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to("/usr/bin/python3")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    command = home / "bin/linkspan"
    command.write_text(_LAUNCHER)
    command.chmod(0o755)
    (building / "usr/bin").mkdir(parents=True)
    (building / "usr/bin/linkspan").symlink_to("/opt/linkspan/bin/linkspan")
    units = building / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for unit in (*(_TREE / "systemd").glob("*.service"), *(_TREE / "systemd").glob("*.socket")):
        shutil.copy(unit, units)
    for folder in ("sysusers.d", "tmpfiles.d"):
        if (_TREE / "systemd" / folder).is_dir():
            shutil.copytree(_TREE / "systemd" / folder, building / "usr/lib" / folder)
    _check_modules(building / _PACKAGES)


def _check_modules(packages: Path) -> None:
    """Refuse a release whose machine code is for another Python: it would fail at import, far from here."""
    for module in packages.rglob("*.so"):
        tag = re.search(r"\.cpython-(\d+)", module.name)
        if tag and tag[1] != "311":
            raise LabError(f"{module} is for Python {tag[1]}, the lab's hosts have 3.11: remove {packages}")
