"""The machines' side of the heart test: two booted hosts of the network vm-paris that join by token and run our units.

`edge` has a leg on the outside link and runs the mesh gateway; `app` has none and joins through it. What is done here is
what a person does on two hosts: files under /etc/linkspan, `linkspan join`, `systemctl enable --now`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.heart import app as application
from tests.lab.hosts.machine import Machine

NETWORK = "vm-paris"
EDGE, APP = "paris-edge", "paris-app"
EDGE_LAN, EDGE_OUTSIDE, APP_LAN = "10.1.0.2", "192.0.2.20", "10.1.0.3"
LAN_GATEWAY, WAN_GATEWAY = f"{EDGE_LAN}:8444", f"{EDGE_OUTSIDE}:8443"

_APP_UNIT = """[Service]
ExecStart=/usr/bin/python3 /opt/app/app.py serve-{protocol} {name} {port}
DynamicUser=yes
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class HostService:
    """A service of the app machine: what it speaks, its ports, whom its users call on which port of loopback."""

    name: str
    protocol: str
    port: int
    inbound: int
    admin: int
    upstreams: tuple[tuple[str, int], ...] = ()


WEB = HostService("web", "http", 8080, 20000, 19001, (("api", 9191), ("cache", 9192)))
LEDGER = HostService("ledger", "tcp", 7000, 20001, 19002)


def install(machine: Machine) -> None:
    """What our package does after unpacking: users and folders."""
    machine.run(["systemd-sysusers"])
    machine.run(["systemd-tmpfiles", "--create", "linkspan.conf"])


def join_by_hand(machine: Machine, server: str, address: str, ticket: dict[str, str]) -> None:
    """Join the mesh at `server` with a one-time token, which goes in by standard input, then start the agent."""
    where = ["--server", server, "--node", machine.name, "--network", NETWORK, "--address", address]
    machine.run(["linkspan", "join", *where, "--ca-pin", ticket["CaPin"], "--token-file", "-"], stdin=ticket["Token"])
    start(machine, "linkspan-agent")


def join_by_unit(machine: Machine, server: str, address: str, ticket: dict[str, str]) -> None:
    """The same as provisioning does it: token and settings in files, the unit joins before the agent starts."""
    settings = {"SERVER": server, "CA_PIN": ticket["CaPin"], "NETWORK": NETWORK, "ADDRESS": address}
    lines = [f"LINKSPAN_JOIN_{name}={value}\n" for name, value in settings.items()]
    machine.write("/etc/linkspan/join.env", "".join(lines))
    machine.write("/etc/linkspan/join-token", ticket["Token"], mode=0o600)
    start(machine, "linkspan-join", "linkspan-agent")


def start(machine: Machine, *units: str) -> None:
    """Start units, now and at every boot; each says itself when it is ready."""
    machine.run(["systemctl", "enable", "--now", *units])


def start_gateway(edge: Machine, catalog: str) -> None:
    """Run the mesh gateway; the catalog's name leads on to `catalog`."""
    settings = {"network": NETWORK, "lan": LAN_GATEWAY, "wan": WAN_GATEWAY, "catalog": [catalog]}
    edge.write("/etc/linkspan/gateway.json", json.dumps(settings))
    start(edge, "linkspan-gateway")


def start_services(app: Machine, services: Sequence[HostService]) -> None:
    """Run the applications with their definitions and proxies; names of upstreams lead to loopback."""
    app.write("/opt/app/app.py", Path(application.__file__).read_text())
    names = " ".join(name for service in services for name, _ in service.upstreams)
    app.run(["sh", "-c", f"echo 127.0.0.1 {names} >>/etc/hosts"])
    for service in services:
        app.write(f"/etc/linkspan/services/{service.name}.json", json.dumps(_definition(service)))
        app.write(f"/etc/linkspan/proxy/{service.name}.json", json.dumps(_proxy(service)))
        unit = _APP_UNIT.format(protocol=service.protocol, name=service.name, port=service.port)
        app.write(f"/etc/systemd/system/{service.name}.service", unit)
    app.run(["systemctl", "daemon-reload"])
    app.run(["systemctl", "reload", "linkspan-agent"])
    start(app, *(unit for service in services for unit in (service.name, f"linkspan-proxy@{service.name}")))


def _definition(service: HostService) -> dict[str, Any]:
    check = {"name": "answers", "tcp": f"127.0.0.1:{service.port}", "interval": "1s", "timeout": "1s"}
    sidecar = {"port": service.inbound}
    return {
        "service": {
            "name": service.name,
            "port": service.port,
            "check": check,
            "connect": {"sidecar_service": sidecar},
        }
    }


def _proxy(service: HostService) -> dict[str, Any]:
    return {
        "network": NETWORK,
        "inbound": f"0.0.0.0:{service.inbound}",
        "app": f"127.0.0.1:{service.port}",
        "admin": f"127.0.0.1:{service.admin}",
        "upstream": [f"{name}=127.0.0.1:{port}" for name, port in service.upstreams],
        "gateway-mode": "local",
        "access-log": "-",
    }
