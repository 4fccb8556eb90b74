"""The processes of the demo: what runs where, started in order, each with its log, stopped without a trace.

Everything here is what a person would type; nothing reaches into another process but by its public interfaces.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trio

CATALOG_HTTP = "127.0.0.1:8500"
CATALOG_MESH = "127.0.0.1:8502"
DATACENTER = "dc1"
TRUST_DOMAIN = "demo.linkspan"
LEAF_TTL_S = 60
"""Certificates live a day by default; here they are renewed twice a minute, to be seen."""


class DemoError(Exception):
    """The demo cannot go on; the text says what to look at."""


@dataclass(frozen=True)
class Network:
    """One network of the demo: its host address, its node, and the WAN address of its mesh gateway."""

    name: str
    host: str
    node: str
    wan: str
    services: tuple[str, ...]


@dataclass(frozen=True)
class Workload:
    """One application with its proxy. `upstreams` are (service, address) pairs."""

    name: str
    service: str
    kind: str
    network: str
    app: str
    inbound: str
    admin: str
    upstreams: tuple[tuple[str, str], ...] = ()
    meta: tuple[tuple[str, str], ...] = ()


PARIS = Network("vm-paris", "127.0.1.1", "paris-1", "127.0.9.1:8443", ("web",))
EAST = Network("k8s-east", "127.0.2.1", "east-1", "127.0.9.2:8443", ("api", "db"))
NETWORKS = (PARIS, EAST)

API, DB = "127.0.1.1:9191", "127.0.1.1:9192"
WORKLOADS = (
    Workload(
        "web-1",
        "web",
        "http",
        PARIS.name,
        "127.0.1.1:8080",
        "127.0.1.1:20000",
        "127.0.1.1:19000",
        (("api", API), ("db", DB)),
    ),
    Workload(
        "api-v1",
        "api",
        "http",
        EAST.name,
        "127.0.2.1:8081",
        "127.0.2.1:20001",
        "127.0.2.1:19001",
        meta=(("version", "v1"),),
    ),
    Workload(
        "api-v2",
        "api",
        "http",
        EAST.name,
        "127.0.2.1:8082",
        "127.0.2.1:20002",
        "127.0.2.1:19002",
        meta=(("version", "v2"),),
    ),
    Workload("db-1", "db", "tcp", EAST.name, "127.0.2.1:8090", "127.0.2.1:20003", "127.0.2.1:19003"),
)
GATEWAY_ADMIN = {PARIS.name: "127.0.1.1:19100", EAST.name: "127.0.2.1:19100"}


def split(address: str) -> tuple[str, int]:
    """HOST:PORT as a pair."""
    host, port = address.rsplit(":", 1)
    return host, int(port)


class World:
    """All processes, by name. `root` holds their state and logs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.commands: dict[str, list[str]] = {}
        self.linkspan = str(Path(sys.executable).with_name("linkspan"))

    def start(self, name: str, command: list[str]) -> None:
        """Start a process; its output goes to its log."""
        self.commands[name] = command
        with (self.root / "log" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def restart(self, name: str) -> None:
        """Start again what was stopped."""
        self.start(name, self.commands[name])

    async def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop one process and wait until it is gone."""
        process = self.processes.pop(name)
        process.send_signal(how)
        with trio.move_on_after(40):
            await trio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
        if process.poll() is None:
            process.kill()
            process.wait()

    async def close(self) -> None:
        """Stop everything, applications and proxies first, the catalog last."""
        for name in reversed(tuple(self.processes)):
            if self.processes[name].poll() is None:
                self.processes[name].terminate()
        for name in tuple(self.processes):
            await self.stop(name)

    def log(self, name: str) -> str:
        """What a process has said so far."""
        return (self.root / "log" / f"{name}.log").read_text(errors="replace")

    async def wait(self, what: str, is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait until `is_so`.

        Raises:
            DemoError: it is not so in time, or a process has ended meanwhile.
        """
        with trio.move_on_after(timeout_s):
            while not is_so():
                for name, process in self.processes.items():
                    if process.poll() is not None:
                        raise DemoError(f"{name} ended with {process.returncode}: {self.log(name)[-600:]}")
                await trio.sleep(0.05)
            return
        raise DemoError(f"{what} did not happen within {timeout_s:g} s; logs are in {self.root}/log")

    async def wait_listening(self, address: str) -> None:
        """Wait until something accepts on an address."""
        with trio.move_on_after(30):
            while True:
                try:
                    await (await trio.open_tcp_stream(*split(address))).aclose()
                except OSError:
                    await trio.sleep(0.05)
                else:
                    return
        raise DemoError(f"nothing listens on {address}; logs are in {self.root}/log")

    def operator(self, *words: str, stdin: str = "") -> str:
        """Run a `linkspan` command as the operator and return what it printed.

        Raises:
            DemoError: it failed.
        """
        settings = {
            "LINKSPAN_TOKEN_FILE": str(self.root / "catalog" / "operator.token"),
            "LINKSPAN_HTTP_ADDR": CATALOG_HTTP,
        }
        done = subprocess.run(
            [self.linkspan, *words], input=stdin, capture_output=True, text=True, check=False, env=os.environ | settings
        )
        if done.returncode != 0:
            raise DemoError(f"linkspan {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def api_client(world: World) -> httpx2.AsyncClient:
    """A client of the catalog's HTTP API with the operator's rights."""
    token = (world.root / "catalog" / "operator.token").read_text().strip()
    return httpx2.AsyncClient(base_url=f"http://{CATALOG_HTTP}", headers={"X-Consul-Token": token}, timeout=30)


def service_file(workload: Workload) -> dict[str, object]:
    """The definition that a person writes for a workload on a host."""
    host, port = split(workload.app)
    return {
        "service": {
            "name": workload.service,
            "id": workload.name,
            "address": host,
            "port": port,
            "meta": dict(workload.meta),
            "check": {"name": "answers", "tcp": workload.app, "interval": "1s", "timeout": "1s"},
            "connect": {"sidecar_service": {"address": split(workload.inbound)[0], "port": split(workload.inbound)[1]}},
        }
    }


async def start_catalog(world: World) -> None:
    """The catalog, and the policy that the demo begins with."""
    (world.root / "catalog").mkdir(mode=0o700)
    data = ["--data-dir", str(world.root / "catalog"), "--datacenter", DATACENTER, "--trust-domain", TRUST_DOMAIN]
    data += ["--leaf-ttl", f"{LEAF_TTL_S}s"]
    world.start("catalog", [world.linkspan, "catalog", *data, "--http", CATALOG_HTTP, "--mesh", CATALOG_MESH])
    await world.wait_listening(CATALOG_MESH)
    await world.wait("the operator's token", (world.root / "catalog" / "operator.token").exists)
    async with api_client(world) as client:
        for body in (
            {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
            {"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
            {
                "Kind": "exported-services",
                "Name": "default",
                "Services": [{"Name": "*", "Consumers": [{"Network": "*"}]}],
            },
            {"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Action": "allow"}]},
            {"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "web", "Action": "allow"}]},
        ):
            (await client.put("/v1/config", json=body)).raise_for_status()


async def start_network(world: World, network: Network) -> None:
    """One network's host: it joins with a one-time token, then runs its agent and its mesh gateway."""
    home = world.root / network.name
    (home / "services").mkdir(parents=True)
    grants = [word for service in network.services for word in ("--service", service)]
    made = world.operator(
        *(
            "token",
            "create",
            "--node",
            network.node,
            "--network",
            network.name,
            *grants,
            "--gateway",
            "--format",
            "json",
        )
    )
    ticket = json.loads(made)
    token_file = home / "join.token"
    token_file.touch(mode=0o600)
    token_file.write_text(ticket["Token"])
    where = [
        "--node",
        network.node,
        "--network",
        network.name,
        "--address",
        network.host,
        "--state-dir",
        str(home / "state"),
    ]
    world.operator(
        "join", "--server", CATALOG_MESH, "--token-file", str(token_file), "--ca-pin", ticket["CaPin"], *where
    )
    token_file.unlink()
    for workload in WORKLOADS:
        if workload.network == network.name:
            (home / "services" / f"{workload.name}.json").write_text(json.dumps(service_file(workload), indent=1))
    sock = home / "agent.sock"
    agent = ["agent", "--state-dir", str(home / "state"), "--config-dir", str(home / "services"), "--socket", str(sock)]
    world.start(f"agent-{network.node}", [world.linkspan, *agent, "--http", f"{network.host}:8500"])
    await world.wait("the agent's socket", sock.exists)
    gateway = ["gateway", "mesh", "--network", network.name, "--agent", f"unix:{sock}", "--catalog", CATALOG_MESH]
    gateway += ["--lan", f"{network.host}:8444", "--wan", network.wan, "--agent-api", f"{network.host}:8500"]
    gateway += ["--state-dir", str(home / "gateway"), "--admin", GATEWAY_ADMIN[network.name]]
    world.start(f"gateway-{network.name}", [world.linkspan, *gateway])
    await world.wait_listening(network.wan)


def proxy_command(world: World, workload: Workload) -> list[str]:
    """The proxy in front of a workload."""
    home = world.root / workload.network
    command = [
        world.linkspan,
        "proxy",
        "--service",
        workload.service,
        "--network",
        workload.network,
        "--agent",
        f"unix:{home / 'agent.sock'}",
    ]
    command += ["--inbound", workload.inbound, "--app", workload.app, "--admin", workload.admin]
    command += [
        "--state-dir",
        str(home / f"proxy-{workload.name}"),
        "--access-log",
        str(world.root / "log" / f"access-{workload.name}.json"),
    ]
    for service, address in workload.upstreams:
        command += ["--upstream", f"{service}={address}"]
    return command


async def start_workload(world: World, workload: Workload) -> None:
    """An application and its proxy."""
    module = [sys.executable, "-m", "examples.two_networks.apps", workload.kind, workload.app, workload.name]
    world.start(f"app-{workload.name}", module)
    world.start(f"proxy-{workload.name}", proxy_command(world, workload))
    await world.wait_listening(workload.app)
    await world.wait_listening(workload.inbound)


async def start(world: World) -> None:
    """The whole world, in order."""
    shutil.rmtree(world.root, ignore_errors=True)
    (world.root / "log").mkdir(parents=True)
    await start_catalog(world)
    for network in NETWORKS:
        await start_network(world, network)
    for workload in WORKLOADS:
        await start_workload(world, workload)
    await wait_served(world)


async def wait_served(world: World) -> None:
    """Wait until calls from one network to the other are answered and every instance passes its check."""
    with trio.move_on_after(30):
        async with api_client(world) as catalog, httpx2.AsyncClient(timeout=5) as client:
            while not (await _passing(catalog) >= len(WORKLOADS) and await _answers(client) and await _greets()):
                await trio.sleep(0.1)
            return
    raise DemoError(f"web cannot reach api and db; logs are in {world.root}/log")


async def _passing(catalog: httpx2.AsyncClient) -> int:
    services = {workload.service for workload in WORKLOADS}
    return sum([len((await catalog.get(f"/v1/health/connect/{name}?passing")).json()) for name in services])


async def _answers(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get(f"http://{API}/")).status_code == 200
    except httpx2.HTTPError:
        return False


async def _greets() -> bool:
    try:
        async with await trio.open_tcp_stream(*split(DB)) as stream:
            return bool(await stream.receive_some(5))
    except (OSError, trio.BrokenResourceError):
        return False
