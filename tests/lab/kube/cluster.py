"""A whole Kubernetes cluster on a lab network: control plane host, nodes, cluster DNS, kubectl and Helm.

It must never be reachable from outside its network except by a second leg that a test gives to a node.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab.hosts.networks import Leg, Network, network
from tests.lab.kube.build import CLUSTER, binaries
from tests.lab.kube.control_plane import ControlPlane
from tests.lab.kube.images import base_images
from tests.lab.kube.node import Node, node
from tests.lab.namespaces import ground
from tests.lab.process import LabError, run, state_directory, wait_until

PLANE_ADDRESS = "172.30.0.1"
_DNS = Path(__file__).with_name("dns.yaml")


class Cluster:
    """A running cluster: node N (from 1) is `nN` at 172.30.0.1N, its pods are in 10.244.N.0/24."""

    def __init__(self, plane: ControlPlane, home: Network, nodes: Sequence[Node]) -> None:
        self.plane = plane
        self.network = home
        self.nodes = tuple(nodes)
        self.kubeconfig = plane.kubeconfig
        self.kubectl = plane.kubectl
        self.try_kubectl = plane.try_kubectl
        self.apply = plane.apply

    def on_plane(
        self, *argv: str | Path, check: bool = True, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the control plane's host, from which every pod and node address can be reached."""
        assert self.plane.host is not None
        return run([*self.plane.host.network_prefix(), *argv], check=check, timeout_s=timeout_s)

    def helm(self, *args: str, timeout_s: float = 180) -> str:
        """The output of helm; raises LabError with what it said when it fails."""
        return self.on_plane(
            self.plane.binaries / "helm", f"--kubeconfig={self.kubeconfig}", *args, timeout_s=timeout_s
        ).stdout

    def exec(self, namespace: str, pod: str, *argv: str, container: str | None = None) -> str:
        """The output of a command run in a pod."""
        chosen = ["-c", container] if container else []
        return self.kubectl("-n", namespace, "exec", pod, *chosen, "--", *argv)

    def wait_ready(self, namespace: str, what: str, *, timeout_s: float = 90) -> None:
        """Wait until a workload, e.g. `deployment/web` or `pod/client`, is ready; a failure tells the pods' state."""
        kind = what.partition("/")[0]
        rollout = ["rollout", "status", what] if kind != "pod" else ["wait", "--for=condition=Ready", what]
        done = self.try_kubectl("-n", namespace, *rollout, f"--timeout={timeout_s:.0f}s", timeout_s=timeout_s + 10)
        if done.returncode:
            raise LabError(f"{what} in {namespace} is not ready: {done.stderr}\n{self.report(namespace)}")

    def load(self, archive: Path) -> None:
        """Import an image archive into every node."""
        for one in self.nodes:
            one.load(archive)

    def report(self, namespace: str) -> str:
        """Pods, events and the ends of their logs: what a failed test needs to be understood."""
        pods = json.loads(self.kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
        parts = [self.kubectl("-n", namespace, "get", "pods,events", "-o", "wide")]
        for pod in pods:
            name = pod["metadata"]["name"]
            # A node that lost its power must not hold the report up.
            which = ("--all-containers", "--prefix", "--tail=40", "--request-timeout=5s")
            logs = self.try_kubectl("-n", namespace, "logs", name, *which)
            parts.append(f"{name}:\n{logs.stdout}{logs.stderr}")
        return "\n".join(parts)


@contextlib.contextmanager
def cluster(
    *,
    nodes: int = 1,
    home: Network | None = None,
    outside: Sequence[Leg] = (),
    images: Sequence[Path] = (),
) -> Iterator[Cluster]:
    """A cluster for the length of a `with` block, ready with DNS (about 15 s for one node).

    `home` is the network of its hosts (an own one by default). `outside` gives the first node a second leg each,
    which pods cannot use and over which nobody reaches pods; only host ports and the host's own sockets are there.
    """
    programs = binaries(CLUSTER)
    with contextlib.ExitStack() as stack:
        place = home or stack.enter_context(network("k8s"))
        host = stack.enter_context(ground("plane", processes=True))
        place.plug(host, "lan0", f"{PLANE_ADDRESS}/24")
        plane = ControlPlane(stack.enter_context(state_directory("plane")), host=host, address=PLANE_ADDRESS)
        assert plane.binaries == programs
        stack.callback(plane.stop)
        plane.start()
        made = []
        for number in range(1, nodes + 1):
            legs = [Leg(place, "lan0", f"172.30.0.1{number}/24", gateway=PLANE_ADDRESS)]
            legs += outside if number == 1 else ()
            made.append(stack.enter_context(node(f"n{number}", plane, legs, f"10.244.{number}.0/24")))
        running = Cluster(plane, place, made)
        _start(running, [*base_images(), *images])
        yield running


def _start(running: Cluster, images: Sequence[Path]) -> None:
    for one in running.nodes:
        one.start(images)
        running.on_plane("ip", "route", "add", one.facts.pod_subnet, "via", one.address)
    for one in running.nodes:
        assert one.ground is not None
        for other in running.nodes:
            if other is not one:
                one.ground.run("ip", "route", "add", other.facts.pod_subnet, "via", other.address)
    for one in running.nodes:
        _wait_node(running, one)
    running.apply(_DNS.read_text())
    running.wait_ready("kube-system", "deployment/coredns")


def _wait_node(running: Cluster, one: Node) -> None:
    question = ("get", "node", one.name, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}")
    try:
        wait_until(lambda: running.try_kubectl(*question).stdout == "True", f"node {one.name} Ready", timeout_s=60)
    except LabError as failure:
        raise LabError(f"{failure}\n{one.log('containerd')}\n{one.log('kubelet')}") from failure
