"""Real processes that answer DNS: `linkspan dev`, and a catalog with an agent that joined it, on free ports of loopback."""

import json
import re
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab.process import Daemon, free_port, run

LINKSPAN = Path(sys.executable).with_name("linkspan")
START_S = 20.0


class Place(NamedTuple):
    """Where a process is: its API's URL, its port of DNS, and the process."""

    api: str
    dns: int
    daemon: Daemon
    mesh: str = ""
    token: str = ""

    def put(self, path: str, body: Any) -> None:
        """PUT JSON to its API."""
        call(f"{self.api}{path}", body, self.token)

    def post(self, path: str, body: Any) -> None:
        """POST JSON to its API."""
        call(f"{self.api}{path}", body, self.token, "POST")


def call(url: str, body: Any, token: str = "", method: str = "PUT") -> None:
    """Send JSON; 200 is the answer."""
    headers = {"X-Consul-Token": token} if token else {}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def register(place: Place, node: str, address: str, service: Mapping[str, Any], status: str = "passing") -> None:
    """An instance with one check, under a node of that name and address."""
    check = {"CheckID": f"{node}:c", "Name": "c", "Status": status, "ServiceID": service["Service"]}
    place.put("/v1/catalog/register", {"Node": node, "Address": address, "Service": service, "Check": check})


@contextmanager
def dev(folder: Path, config: Mapping[str, Any] | None = None) -> Iterator[Place]:
    """`linkspan dev` on free ports, with that configuration."""
    words: list[str | Path] = [LINKSPAN, "dev", "--http-port", "0", "--mesh-port", "0", "--node", "laptop"]
    if config is not None:
        (folder / "config").mkdir()
        (folder / "config" / "config.json").write_text(json.dumps(config))
        words += ["--config-dir", folder / "config"]
    daemon = Daemon("linkspan dev", words, folder / "dev.log")
    try:
        http = _said(daemon, r"API on (http://[\d.:]+)")
        yield Place(http, int(_said(daemon, r"DNS on 127\.0\.0\.1:(\d+)")), daemon)
    finally:
        daemon.stop()


@contextmanager
def catalog(folder: Path, mesh: str, config: Sequence[str | Path] = ()) -> Iterator[Place]:
    """`linkspan catalog` over the folder's data, its mesh port where an agent finds it again; it ends as in a crash."""
    data = folder / "catalog"
    words = [LINKSPAN, "catalog", "--data-dir", data, "--http", "127.0.0.1:0", "--mesh", mesh, *config]
    log = folder / f"catalog-{len(list(folder.glob('catalog-*.log')))}.log"
    daemon = Daemon("linkspan catalog", words, log)
    try:
        http = _said(daemon, r"serving (http://[\d.:]+)")
        dns = int(_said(daemon, r"DNS on 127\.0\.0\.1:(\d+)"))
        yield Place(http, dns, daemon, mesh, (data / "operator.token").read_text().strip())
    finally:
        daemon.kill()


@contextmanager
def agent(folder: Path, place: Place, node: str) -> Iterator[int]:
    """A host's agent that joined that catalog; its port of DNS."""
    environment = {"CONSUL_HTTP_ADDR": place.api, "LINKSPAN_TOKEN_FILE": str(folder / "catalog" / "operator.token")}
    made = run([LINKSPAN, "token", "create", "--node", node, "--service", "*", "--format", "json"], env=environment)
    ticket = json.loads(made.stdout)
    (folder / "join.token").write_text(ticket["Token"])
    where = ["--node", node, "--address", "127.0.0.1", "--state-dir", folder / "state"]
    pin = ["--ca-pin", ticket["CaPin"], "--token-file", folder / "join.token"]
    run([LINKSPAN, "join", "--server", place.mesh, *pin, *where])
    words = ["--state-dir", folder / "state", "--http", "127.0.0.1:0", "--socket", folder / "agent.sock"]
    port = free_port()
    daemon = Daemon("linkspan agent", [LINKSPAN, "agent", *words, "--dns", f"127.0.0.1:{port}"], folder / "agent.log")
    try:
        daemon.wait_until(lambda: f"127.0.0.1:{port}" in daemon.tail(), "the agent's DNS", timeout_s=START_S)
        yield port
    finally:
        daemon.stop()


def _said(daemon: Daemon, pattern: str) -> str:
    found = daemon.wait_until(lambda: re.search(pattern, daemon.tail()), f"{pattern} in its log", timeout_s=START_S)
    assert found is not None
    return found[1]
