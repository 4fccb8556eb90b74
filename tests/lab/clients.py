"""Real clients of Consul's API, built once from source into the cache: Prometheus with Consul discovery, consul-template.

Debian's Prometheus is built without Consul discovery. Cold, Prometheus takes about three minutes on two cores.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.lab.cache import cache_directory, locked
from tests.lab.go import go, go_module

_PROMETHEUS = "0.315.0"
_CONSUL_TEMPLATE = "0.41.4"


def prometheus() -> Path:
    """The binary `prometheus`."""
    return _built(f"prometheus-{_PROMETHEUS}", _build_prometheus)


def consul_template() -> Path:
    """The binary `consul-template`."""
    return _built(f"consul-template-{_CONSUL_TEMPLATE}", _build_consul_template)


def _built(name: str, build: Callable[[Path, Path], None]) -> Path:
    cache = cache_directory("clients")
    with locked(cache):
        binary = cache / name
        if not binary.exists():
            print(f"building {name}", file=sys.stderr, flush=True)  # noqa: T201 - minutes of silence look like a hang
            part = cache / f"{name}.part"
            build(cache / "src" / name, part)
            part.rename(binary)
            shutil.rmtree(cache / "src" / name, ignore_errors=True)
        return binary


def _build_prometheus(source: Path, target: Path) -> None:
    directory = go_module(source)
    package = "github.com/prometheus/prometheus"
    go("get", f"{package}/cmd/prometheus@v{_PROMETHEUS}", directory=directory)
    tags = "remove_all_sd,enable_consul_sd"
    go("build", "-tags", tags, "-ldflags", "-s -w", "-o", str(target), f"{package}/cmd/prometheus", directory=directory)


def _build_consul_template(source: Path, target: Path) -> None:
    directory = go_module(source)
    package = "github.com/hashicorp/consul-template"
    go("get", f"{package}@v{_CONSUL_TEMPLATE}", directory=directory)
    go("build", "-ldflags", "-s -w", "-o", str(target), package, directory=directory)
