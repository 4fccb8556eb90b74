"""Clients that were made for Consul work against a catalog of ours, unmodified: Prometheus and consul-template."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab import clients
from tests.lab.process import Daemon, wait_until

LINKSPAN = Path(sys.executable).with_name("linkspan")

PROMETHEUS = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: mesh
  consul_sd_configs:
  - server: {api}
    services: [web]
    tags: [metrics]
    refresh_interval: 100ms
  relabel_configs:
  - source_labels: [__meta_consul_service, __meta_consul_service_metadata_team]
    separator: "-"
    target_label: job
"""

TEMPLATE = """{{ range service "web" }}web {{ .Address }}:{{ .Port }}
{{ end }}{{ range services }}{{ if ne .Name "consul" }}service {{ .Name }} {{ .Tags | join "," }}
{{ end }}{{ end }}{{ range datacenters }}dc {{ . }}
{{ end }}greeting {{ keyOrDefault "app/greeting" "none" }}
{{ range ls "app" }}under {{ .Key }}={{ .Value }}
{{ end }}{{ range nodes }}node {{ .Node }}
{{ end }}"""


@contextmanager
def linkspan_dev(folder: Path) -> Iterator[str]:
    """`linkspan dev` on free ports; the address of its API."""
    command = [LINKSPAN, "dev", "--node", "laptop", "--http-port", "0", "--mesh-port", "0", "--dns-port", "0"]
    daemon = Daemon("linkspan dev", command, folder / "dev.log")
    try:
        said = daemon.wait_until(
            lambda: "API on http://" in (text := daemon.tail()) and text, "linkspan dev to serve", timeout_s=20
        )
        assert isinstance(said, str)
        yield said.split("API on http://")[1].split(",")[0].strip()
    finally:
        daemon.stop()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    """A catalog that serves one instance of `web`."""
    with linkspan_dev(tmp_path) as address:
        register(address, "web-1", 8001)
        yield address


def ask(address: str, method: str, path: str, body: object = None) -> Any:
    """One call; its answer, parsed if it is JSON."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    with closing(connection):
        connection.request(method, path, data)
        answer = connection.getresponse()
        text = answer.read()
    assert answer.status == 200, (method, path, answer.status, text)
    return json.loads(text) if answer.getheader("content-type", "").startswith("application/json") else text


def register(address: str, name: str, port: int) -> None:
    """One instance of `web` on loopback, found by the tag `metrics`."""
    service = {
        "Name": "web",
        "ID": name,
        "Address": "127.0.0.1",
        "Port": port,
        "Tags": ["metrics"],
        "Meta": {"team": "shop"},
    }
    ask(address, "PUT", "/v1/agent/service/register", service)


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_prometheus_finds_its_targets_and_forgets_them(api: str, tmp_path: Path) -> None:
    """An instance becomes a target with its labels while Prometheus runs, and leaves with its registration."""
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(api=api))
    listen = f"127.0.0.1:{free_port()}"
    command = [
        clients.prometheus(),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={listen}",
    ]
    daemon = Daemon("prometheus", command, tmp_path / "prometheus.log")

    def targets() -> list[tuple[str, str]]:
        try:
            found = ask(listen, "GET", "/api/v1/targets?state=active")["data"]["activeTargets"]
        except OSError:
            return []
        return sorted((one["labels"]["instance"], one["labels"]["job"]) for one in found)

    first, second = ("127.0.0.1:8001", "web-shop"), ("127.0.0.1:8002", "web-shop")
    try:
        daemon.wait_until(lambda: targets() == [first], "the first target", timeout_s=30)
        register(api, "web-2", 8002)
        daemon.wait_until(lambda: targets() == [first, second], "the second target", timeout_s=30)
        ask(api, "PUT", "/v1/agent/service/deregister/web-1")
        daemon.wait_until(lambda: targets() == [second], "the first target to go", timeout_s=30)
    finally:
        daemon.stop()
    assert "level=ERROR" not in daemon.log.read_text()


@pytest.mark.slow
def test_consul_template_renders_and_renders_again(api: str, tmp_path: Path) -> None:
    """Services, datacenters, nodes and keys are rendered, and again when one of them changes."""
    (tmp_path / "page.tpl").write_text(TEMPLATE)
    page = tmp_path / "page"
    command = [clients.consul_template(), "-consul-addr", api, "-template", f"{tmp_path}/page.tpl:{page}"]
    daemon = Daemon("consul-template", [*command, "-log-level", "info"], tmp_path / "template.log")

    def lines() -> list[str]:
        return page.read_text().splitlines() if page.exists() else []

    try:
        expected = ["web 127.0.0.1:8001", "service web metrics", "dc dc1", "greeting none", "node laptop"]
        daemon.wait_until(lambda: lines() == expected, "the first page", timeout_s=30)
        ask(api, "PUT", "/v1/kv/app/greeting", b"hello")
        daemon.wait_until(
            lambda: "greeting hello" in lines() and "under greeting=hello" in lines(), "the key", timeout_s=30
        )
        register(api, "web-2", 8002)
        daemon.wait_until(lambda: "web 127.0.0.1:8002" in lines(), "the second instance", timeout_s=30)
        ask(api, "PUT", "/v1/agent/service/deregister/web-1")
        daemon.wait_until(lambda: "web 127.0.0.1:8001" not in lines(), "the first instance to go", timeout_s=30)
    finally:
        daemon.stop()


@pytest.mark.slow
def test_consul_template_runs_once_and_ends(api: str, tmp_path: Path) -> None:
    """`-once` finds everything it asked for, and exits with 0."""
    (tmp_path / "page.tpl").write_text('{{ range service "web" }}{{ .ID }} {{ .NodeAddress }}{{ end }}\n')
    command = [
        clients.consul_template(),
        "-once",
        "-consul-addr",
        api,
        "-template",
        f"{tmp_path}/page.tpl:{tmp_path}/page",
    ]
    subprocess.run(command, check=True, timeout=30, capture_output=True)
    assert (tmp_path / "page").read_text() == "web-1 127.0.0.1\n"
    assert wait_until(lambda: ask(api, "GET", "/v1/status/leader"), "the catalog to be there still", timeout_s=5)
