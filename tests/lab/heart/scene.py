"""The whole scene of the heart test, brought up step by step in the order in which people would do it.

                k8s-east                    outside (captured)                vm-paris
    n2: pods api, cache                     192.0.2.0/24          paris-app: services web, ledger
    n1: catalog, mesh gateway --- 192.0.2.10 ------ 192.0.2.20 --- paris-edge: mesh gateway

No route leads from one network to the other; every call and every word with the catalog passes the two gateways.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.capture import Capture, capture
from tests.lab.heart import cluster_side, machine_side
from tests.lab.heart.callers import Caller, in_pod, on_machine
from tests.lab.heart.catalog_operator import Operator
from tests.lab.heart.pods import NAMESPACE
from tests.lab.hosts.machine import Machine, machine
from tests.lab.hosts.networks import Leg, Network, network
from tests.lab.kube.cluster import Cluster, cluster
from tests.lab.kube.images import linkspan_image
from tests.lab.process import LabError, state_directory, wait_until
from tests.lab.release import release

SERVICES = {"api": "n2", "cache": "n2", "web": machine_side.APP, "ledger": machine_side.APP}
"""Each service and the node it runs on."""

_POLICY = (
    {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
    {"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
    {"Kind": "exported-services", "Name": "default", "Services": [{"Name": "*", "Consumers": [{"Network": "*"}]}]},
)
INTENTIONS = (("web", "api"), ("web", "cache"), ("api", "web"), ("api", "ledger"))


@dataclass(frozen=True)
class Scene:
    """Everything that stands. `machine_user` calls as web, `pod_app` as api."""

    kube: Cluster
    edge: Machine
    app: Machine
    operator: Operator
    tape: Capture
    machine_user: Caller
    pod_app: Caller

    def report(self) -> str:
        """What every part has said: for a test that failed."""
        hosts = [f"{host.name}:\n{_try(lambda host=host: _journal(host))}" for host in (self.edge, self.app)]
        return "\n\n".join([_try(lambda: self.kube.report(NAMESPACE)), *hosts])


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """The scene for the length of a `with` block: every service healthy, every call answered once."""
    with (
        state_directory("heart") as state,
        network(cluster_side.NETWORK) as east,
        network(machine_side.NETWORK) as paris,
        network("outside") as outside,
        capture(outside) as tape,
        _hosts(east, paris, outside) as (kube, edge, app),
    ):
        cluster_side.install(kube, state / "values.json")
        operator = Operator(kube, state / "port-forward.log")
        try:
            operator.write_entries(*_POLICY)
            for source, destination in INTENTIONS:
                operator.intend(source, destination, "allow")
            made = Scene(kube, edge, app, operator, tape, *_callers(kube, app, state))
            with _reported(made):
                _start(made)
                _settle(made)
            yield made
        finally:
            operator.close()


@contextlib.contextmanager
def _hosts(east: Network, paris: Network, outside: Network) -> Iterator[tuple[Cluster, Machine, Machine]]:
    wan = [Leg(outside, "out0", f"{cluster_side.GATEWAY_ADDRESS}/24")]
    both = [
        Leg(paris, "lan0", f"{machine_side.EDGE_LAN}/24"),
        Leg(outside, "out0", f"{machine_side.EDGE_OUTSIDE}/24"),
    ]
    inner = [Leg(paris, "lan0", f"{machine_side.APP_LAN}/24")]
    layers = [release()]
    with (
        cluster(nodes=2, home=east, outside=wan, images=[linkspan_image()]) as kube,
        machine(machine_side.EDGE, both, layers=layers) as edge,
        machine(machine_side.APP, inner, layers=layers) as app,
    ):
        yield kube, edge, app


def _callers(kube: Cluster, app: Machine, logs: Path) -> tuple[Caller, Caller]:
    return Caller("web", on_machine(app), logs), Caller("api", in_pod(kube, "api"), logs)


def _start(made: Scene) -> None:
    """Pods come up while the machines join: the edge at the cluster's gateway, the other at the edge."""
    cluster_side.start_pods(made.kube)
    for host in (made.edge, made.app):
        machine_side.install(host)
    ticket = made.operator.token(machine_side.EDGE, machine_side.NETWORK, gateway=True)
    machine_side.join_by_hand(made.edge, cluster_side.GATEWAY, machine_side.EDGE_LAN, ticket)
    machine_side.start_gateway(made.edge, cluster_side.GATEWAY)
    services = (machine_side.WEB, machine_side.LEDGER)
    ticket = made.operator.token(machine_side.APP, machine_side.NETWORK, services=[one.name for one in services])
    machine_side.join_by_unit(made.app, machine_side.LAN_GATEWAY, machine_side.APP_LAN, ticket)
    machine_side.start_services(made.app, services)
    cluster_side.wait_pods(made.kube)


def _settle(made: Scene) -> None:
    """Wait until every service is healthy in the catalog and every call was answered once."""
    ask = made.operator

    def healthy() -> bool:
        return all(ask.passing(name) == ask.callable(name) == [node] for name, node in SERVICES.items())

    wait_until(healthy, "every service to be healthy", timeout_s=30)
    made.machine_user.wait_get("http://api:9191/")
    made.machine_user.wait_talk("cache", 9192)
    made.pod_app.wait_get("http://web:9191/")
    made.pod_app.wait_talk("ledger", 9192)


@contextlib.contextmanager
def _reported(made: Scene) -> Iterator[None]:
    try:
        yield
    except LabError as failure:
        raise LabError(f"{failure}\n{made.report()}") from failure


def _journal(host: Machine) -> str:
    """What our units said; of the access logs, which a waiting test fills, only the end."""
    command = ["journalctl", "-b", "--no-pager", "-o", "short-precise", "-n", "1000", "-u", "linkspan-*"]
    lines = host.run(command).stdout.splitlines()
    entries = [line for line in lines if '{"time"' in line][-4:]
    return "\n".join(line for line in lines if line in entries or '{"time"' not in line)


def _try(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except LabError as failure:
        return str(failure)
