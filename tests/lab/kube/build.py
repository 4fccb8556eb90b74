"""Build every binary of Kubernetes and its companions from source, once, into the cache.

Sources come from the Go module proxy by the go command, which checks them against its checksum database. It must
never fetch a ready-made Kubernetes binary, and never build what is there in the right version.
"""

import os
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.go import go, go_module
from tests.lab.process import LabError, run

KUBERNETES = "1.34.4"
_ETCD = "3.6.8"
_COREDNS = "1.14.6"
_HELM = "3.22.0"

_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy")
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
CLUSTER = (*CONTROL_PLANE, "kubelet", "kube-proxy", "coredns", "helm", "pause")

_ETCD_MAIN = """package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"""


@dataclass(frozen=True)
class _Component:
    """How one binary is built, and how the one that is there tells its version."""

    build: Callable[[str, Path], None]
    version_flag: tuple[str, ...] = ()
    version_text: str = ""


def binaries(names: Collection[str] = CLUSTER) -> Path:
    """The directory that holds the named binaries; builds those that are missing or of another version.

    A cold build of everything takes about 8 minutes on two cores, of `CONTROL_PLANE` alone 5.
    """
    cache = cache_directory("kube")
    target = cache / "bin"
    target.mkdir(exist_ok=True)
    with locked(cache):
        for name in names:
            if not _ready(target / name, _COMPONENTS[name]):
                print(f"building {name}", file=sys.stderr, flush=True)  # noqa: T201 - minutes of silence look like a hang
                _COMPONENTS[name].build(name, target)
    return target


def _ready(binary: Path, component: _Component) -> bool:
    """Whether the binary is there in the version that its component wants; one it cannot tell counts as right."""
    if not binary.exists():
        return False
    if not component.version_flag:
        return True
    told = run([binary, *component.version_flag], check=False)
    return component.version_text in told.stdout + told.stderr


def _kubernetes_source() -> Path:
    """The unpacked source of Kubernetes in Go's module cache."""
    answer = go("mod", "download", "-json", f"k8s.io/kubernetes@v{KUBERNETES}")
    found = re.search(r'"Dir": "([^"]+)"', answer)
    if not found:
        raise LabError(f"go mod download names no directory for k8s.io/kubernetes: {answer}")
    return Path(found[1])


def _kubernetes_module() -> Path:
    """A module that depends on Kubernetes, its staging modules pinned to their published twins (v0.minor.patch)."""
    directory = go_module(cache_directory("kube") / f"src/kubernetes-{KUBERNETES}")
    manifest = directory / "go.mod"
    if "k8s.io/kubernetes v" not in manifest.read_text():
        source = (_kubernetes_source() / "go.mod").read_text()
        staging = re.findall(r"^\s+(k8s\.io/\S+) => \./staging", source, re.MULTILINE)
        published = "v0." + KUBERNETES.partition(".")[2]
        lines = [f"require k8s.io/kubernetes v{KUBERNETES}"]
        lines += [f"replace {module} => {module} {published}" for module in staging]
        manifest.write_text(manifest.read_text() + "\n".join(lines) + "\n")
    imports = "".join(f'import _ "k8s.io/kubernetes/cmd/{name}"\n' for name in _PROGRAMS)
    (directory / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}")
    if not (directory / "go.sum").exists():
        go("mod", "tidy", "-e", directory=directory)
    return directory


def _build_kubernetes(name: str, target: Path) -> None:
    version = "k8s.io/component-base/version"
    stamps = {"gitVersion": f"v{KUBERNETES}", "gitMajor": "1", "gitMinor": KUBERNETES.split(".")[1]}
    flags = " ".join(["-s -w", *(f"-X {version}.{key}={value}" for key, value in stamps.items())])
    package = f"k8s.io/kubernetes/cmd/{name}"
    go("build", "-ldflags", flags, "-o", str(target / name), package, directory=_kubernetes_module())


def _build_etcd(name: str, target: Path) -> None:
    directory = go_module(cache_directory("kube") / f"src/etcd-{_ETCD}")
    (directory / "main.go").write_text(_ETCD_MAIN)
    go("get", f"go.etcd.io/etcd/server/v3@v{_ETCD}", directory=directory)
    go("build", "-ldflags", "-s -w", "-o", str(target / name), ".", directory=directory)


def _install(package: str, version: str) -> Callable[[str, Path], None]:
    def build(_name: str, target: Path) -> None:
        go("install", "-ldflags", "-s -w", f"{package}@v{version}", GOFLAGS="", GOBIN=os.fspath(target))

    return build


def _build_pause(name: str, target: Path) -> None:
    source = _kubernetes_source() / "build/pause/linux/pause.c"
    run(["gcc", "-static", "-O2", "-DVERSION=lab", "-o", target / name, source])


_COMPONENTS = {
    **{name: _Component(_build_kubernetes, ("--version",), f"v{KUBERNETES}") for name in _PROGRAMS},
    "kubectl": _Component(_build_kubernetes, ("version", "--client"), f"v{KUBERNETES}"),
    "etcd": _Component(_build_etcd, ("--version",), f"etcd Version: {_ETCD}"),
    "coredns": _Component(_install("github.com/coredns/coredns", _COREDNS), ("-version",), f"CoreDNS-{_COREDNS}"),
    "helm": _Component(_install("helm.sh/helm/v3/cmd/helm", _HELM), ("version", "--short"), f"v{_HELM[:4]}"),
    "pause": _Component(_build_pause),
}

if __name__ == "__main__":
    binaries(CONTROL_PLANE if "control-plane" in sys.argv else CLUSTER)
