"""`linkspan bridge consul` between real catalogs: what it brings in time, and what it never takes away."""

import http.client
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.lab.process import Daemon, free_port, run, wait_until

LINKSPAN = Path(sys.executable).with_name("linkspan")


def ask(address: str, method: str, path: str, body: object = None) -> Any:
    """One call; its answer, parsed if it is JSON."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    with closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body).encode())
        answer = connection.getresponse()
        text = answer.read()
    assert answer.status == 200, (method, path, answer.status, text)
    return json.loads(text) if answer.getheader("content-type", "").startswith("application/json") else text


class Site:
    """One `linkspan dev` with a node and a datacenter of its own, kept on disk; it can be killed and begin again."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder / f"dc{number}"
        self.folder.mkdir()
        self.number = number
        self.port = free_port()
        self.api = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.api}"
        self.start()

    def start(self) -> None:
        """Run it, and wait until it serves."""
        command = [LINKSPAN, "dev", "--node", f"n{self.number}", "--datacenter", f"dc{self.number}", "--dns-port", "-1"]
        command += ["--http-port", self.port, "--mesh-port", "0", "--data-dir", self.folder / "data"]
        log = self.folder / "dev.log"
        log.write_text("")
        self.daemon = Daemon("linkspan dev", [*command, "--socket", self.folder / "agent.sock"], log)
        self.daemon.wait_until(lambda: "API on http://" in self.daemon.tail(), "linkspan dev to serve", timeout_s=20)

    def stop(self) -> None:
        """End it, whichever run it is in."""
        self.daemon.stop()

    def register(self, service: str, status: str = "passing") -> None:
        """One instance of a service, checked by its word."""
        check = {"CheckID": f"service:{service}", "Name": "alive", "TTL": "10m", "Status": status}
        body = {"Name": service, "ID": service, "Port": 80, "Tags": ["t"], "Meta": {"team": "shop"}, "Check": check}
        ask(self.api, "PUT", "/v1/agent/service/register", body)

    def health(self, service: str) -> list[tuple[str, list[str]]]:
        """Original node and the instance's own checks, of the mirrored instances of a service."""
        rows = ask(self.api, "GET", f"/v1/health/service/{service}")
        return sorted(
            (row["Node"]["Meta"]["linkspan-bridge-node"], [one["Status"] for one in row["Checks"] if one["ServiceID"]])
            for row in rows
            if "linkspan-bridge" in row["Node"]["Meta"]
        )

    def index(self) -> tuple[Any, Any]:
        """What stands there, with every index: equal if nothing at all was written."""
        return ask(self.api, "GET", "/v1/catalog/nodes"), ask(self.api, "GET", "/v1/connect/intentions")


class World:
    """Sites and bridges of one test, ended with it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def site(self, number: int) -> Site:
        site = Site(self.folder, number)
        self._stack.callback(site.stop)
        return site

    def bridge(self, source: Site, target: Site, *flags: str) -> Daemon:
        """A running bridge that has had its first full pass."""
        log = self.folder / f"bridge-{source.number}-{target.number}.log"
        command = [LINKSPAN, "bridge", "consul", "--from", source.url, "--to", target.url, *flags]
        daemon = Daemon("linkspan bridge", command, log)
        self._stack.callback(daemon.stop)
        daemon.wait_until(lambda: "bridge mirrors" in daemon.tail(), "the bridge to mirror", timeout_s=20)
        return daemon


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def within(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    wait_until(condition, what, timeout_s=timeout_s)


@pytest.mark.slow
def test_health_follows_and_outages_remove_nothing(world: World) -> None:
    """A registration and a failing check are at the other side in 2 s; a killed source keeps what it has there."""
    one, two = world.site(1), world.site(2)
    bridge = world.bridge(one, two, "--hold", "6")
    one.register("web")
    within(lambda: two.health("web") == [("n1", ["passing"])], "the registration", 2)
    ask(one.api, "PUT", "/v1/agent/check/fail/service:web")
    within(lambda: two.health("web") == [("n1", ["critical"])], "the failing check", 2)
    before = two.index()
    one.daemon.kill()
    end_s = time.monotonic() + 8
    while time.monotonic() < end_s:
        assert two.health("web") == [("n1", ["critical"])]
        time.sleep(0.5)  # noqa: TID251 - real processes know no virtual time
    assert two.index() == before, "nothing was written while nothing changed"
    # The database is lost, the authority is not: the same catalog, empty. It is believed after the hold time.
    for file in (*(one.folder / "data").glob("catalog.db*"), one.folder / "data" / "registrations.json"):
        file.unlink()
    one.start()
    started_s = time.monotonic()
    within(lambda: two.health("web") == [], "what is really gone to go", 30)
    assert time.monotonic() - started_s > 4
    assert bridge.alive


@pytest.mark.slow
def test_a_replaced_source_ends_the_bridge(world: World) -> None:
    """A catalog with another authority is another catalog: an error, and nothing removed."""
    one, two = world.site(1), world.site(2)
    bridge = world.bridge(one, two, "--hold", "1")
    one.register("web")
    within(lambda: two.health("web") == [("n1", ["passing"])], "the registration", 5)
    one.daemon.kill()
    shutil.rmtree(one.folder / "data")
    one.start()
    within(lambda: not bridge.alive, "the bridge to end", 20)
    assert "Nothing was removed" in bridge.tail()
    assert two.health("web") == [("n1", ["passing"])]
    again = run([LINKSPAN, "bridge", "consul", "--from", one.url, "--to", two.url, "--once"], check=False)
    assert again.returncode == 1
    assert "was mirrored by bridge bridge from dc1" in again.stderr


@pytest.mark.slow
def test_both_directions_intentions_and_what_is_not_ours(world: World) -> None:
    """Each side has its own and the other's once; intentions follow; the target's own win; deregistrations follow."""
    one, two = world.site(1), world.site(2)
    one.register("web")
    two.register("db")
    exact = "/v1/connect/intentions/exact?source={}&destination={}"
    ask(one.api, "PUT", exact.format("web", "db"), {"Action": "allow"})
    ask(one.api, "PUT", exact.format("web", "shop"), {"Action": "deny"})
    ask(two.api, "PUT", exact.format("web", "shop"), {"Action": "allow"})
    dry = run([LINKSPAN, "bridge", "consul", "--from", one.url, "--to", two.url, "--dry-run"])
    assert "instance web of web" in dry.stdout
    assert two.health("web") == []
    bridge = world.bridge(one, two, "--both", "--hold", "1")
    within(lambda: two.health("web") == [("n1", ["passing"])], "web", 5)
    within(lambda: one.health("db") == [("n2", ["passing"])], "db", 5)
    within(lambda: ask(two.api, "GET", exact.format("web", "db"))["Action"] == "allow", "the intention", 5)
    assert ask(two.api, "GET", exact.format("web", "shop"))["Action"] == "allow"
    within(lambda: "web => shop is there and is not ours" in bridge.tail(), "the conflict to be told", 5)
    assert len(ask(one.api, "GET", "/v1/catalog/nodes")) == len(ask(two.api, "GET", "/v1/catalog/nodes")) == 2
    ask(one.api, "PUT", "/v1/agent/service/deregister/web")
    ask(one.api, "DELETE", exact.format("web", "db"))
    within(lambda: two.health("web") == [], "the deregistration", 10)
    within(lambda: len(ask(two.api, "GET", "/v1/connect/intentions")) == 1, "the intention to go", 10)


@pytest.mark.slow
def test_a_ring_of_three(world: World) -> None:
    """What goes round stops at the first neighbour, and the ring comes to rest."""
    sites = [world.site(number) for number in (1, 2, 3)]
    for number, site in enumerate(sites):
        site.register("web")
        world.bridge(site, sites[(number + 1) % 3], "--hold", "1")
    for number, site in enumerate(sites):
        origin = sites[number - 1].number
        within(lambda site=site, origin=origin: site.health("web") == [(f"n{origin}", ["passing"])], "a neighbour", 5)  # type: ignore[misc]
    before = [site.index() for site in sites]
    time.sleep(3)  # noqa: TID251 - real processes know no virtual time
    assert [site.index() for site in sites] == before
