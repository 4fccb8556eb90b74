"""A cluster node: containerd, kubelet and kube-proxy in process, mount and network namespaces of their own.

Ending the node's first process ends every container with it. It must never mount, forward or count anything in
the namespaces of the computer itself, except for a control group of its own name.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab.hosts.networks import Leg
from tests.lab.kube.control_plane import ControlPlane
from tests.lab.kube.node_settings import (
    NodeFacts,
    containerd_settings,
    kubelet_settings,
    network_settings,
    proxy_settings,
)
from tests.lab.namespaces import Ground, control_group_roots, remove_control_groups
from tests.lab.process import Daemon, run, state_directory

_SETUP = "mount --make-rshared / && mount -t tmpfs none /run;"

# Pods leave through their own network only. What came in by a host port may be answered; nothing else is forwarded.
_FENCE = """
table inet lab {{
  chain forward {{
    type filter hook forward priority filter - 10;
    ct status dnat accept
    iifname "{interface}" drop
    oifname "{interface}" drop
  }}
}}
"""


class Node:
    """One node of a cluster. The first leg is the one that the cluster knows it by."""

    def __init__(self, name: str, plane: ControlPlane, legs: Sequence[Leg], pod_subnet: str, state: Path) -> None:
        self.name = name
        self.legs = tuple(legs)
        self.state = state
        self.binaries = plane.binaries
        self.facts = NodeFacts(name, legs[0].ip, pod_subnet, state.name, state, plane.pki.directory)
        self._plane = plane
        self._ports: list[tuple[Leg, str]] = []
        self._daemons: list[Daemon] = []
        self.ground: Ground | None = None
        plane.pki.certify(name, f"system:node:{name}", "system:nodes", hosts=(name, legs[0].ip))

    @property
    def address(self) -> str:
        return self.facts.address

    def start(self, images: Sequence[Path]) -> None:
        """Start the node with the given image archives in its store; returns before it is Ready."""
        self.ground = Ground(self.name, processes=True, setup=_SETUP)
        self._settle_network(self.ground)
        self._make_control_groups()
        self._write_settings()
        containerd = self._daemon("containerd", "containerd", f"--config={self.state}/containerd.toml")
        containerd.wait_until(lambda: not self._ctr("version", check=False), "containerd to answer", timeout_s=30)
        for archive in images:
            self.load(archive)
        pki = self._plane.pki
        kubeconfig = pki.kubeconfig(self.name, self._plane.server)
        options = [
            f"--config={self.state}/kubelet.json",
            f"--kubeconfig={kubeconfig}",
            f"--cert-dir={self.state}/certs",
        ]
        place = [f"--root-dir={self.state}/kubelet", f"--hostname-override={self.name}", f"--node-ip={self.address}"]
        self._daemon("kubelet", str(self.binaries / "kubelet"), *options, *place)
        self._daemon("kube-proxy", str(self.binaries / "kube-proxy"), f"--config={self.state}/proxy.json")

    def load(self, archive: Path) -> None:
        """Import a docker-archive into the node's image store."""
        self._ctr("--namespace=k8s.io", "image", "import", "--all-platforms", str(archive))

    def log(self, daemon: str) -> str:
        """The end of what containerd, kubelet or kube-proxy printed."""
        return (self.state / f"{daemon}.log").read_text(errors="replace")[-20_000:]

    def power_cut(self) -> None:
        """The node is gone at once: no packet leaves any more, nothing is torn down in order."""
        for leg, port in self._ports:
            leg.network.unplug(port)
        self.off()

    def off(self) -> None:
        """End everything of the node and remove what the kernel keeps of it."""
        if self.ground is not None:
            self.ground.close()
            self.ground = None
        for daemon in self._daemons:
            daemon.stop()
        self._daemons.clear()
        self._ports.clear()
        remove_control_groups(self.facts.control_group)

    def _ctr(self, *args: str, check: bool = True) -> int:
        return run(["ctr", f"--address={self.state}/containerd.sock", *args], check=check).returncode

    def _daemon(self, name: str, *argv: str) -> Daemon:
        assert self.ground is not None
        daemon = Daemon(f"{self.name} {name}", [*self.ground.prefix(), *argv], self.state / f"{name}.log")
        self._daemons.append(daemon)
        return daemon

    def _settle_network(self, ground: Ground) -> None:
        ground.run("ip", "link", "set", "lo", "up")
        self._ports = [(leg, leg.plug(ground)) for leg in self.legs]
        ground.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1")
        # Absent where the kernel has no bridge filter; then bridged pods bypass nft, which Services can live with.
        ground.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", check=False)
        for leg in self.legs[1:]:
            rules = self.state / f"fence-{leg.interface}.nft"
            rules.write_text(_FENCE.format(interface=leg.interface))
            ground.run("nft", "-f", rules)

    def _make_control_groups(self) -> None:
        """Make the node's group in every hierarchy, as kubelet wants its root; version 1 needs its processor set filled."""
        for root in control_group_roots():
            group = root / self.facts.control_group
            group.mkdir()
            if (root / "cgroup.controllers").exists() and root == Path("/sys/fs/cgroup"):
                wanted = (root / "cgroup.controllers").read_text().split()
                for place in (root, group):
                    (place / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
            elif (root / "cpuset.cpus").exists():
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (group / file).write_text((root / file).read_text())

    def _write_settings(self) -> None:
        (self.state / "cni").mkdir()
        (self.state / "cni/10-lab.conflist").write_text(network_settings(self.facts))
        (self.state / "containerd.toml").write_text(containerd_settings(self.facts))
        (self.state / "kubelet.json").write_text(kubelet_settings(self.facts))
        proxy = self._plane.pki.kubeconfig("proxy", self._plane.server)
        (self.state / "proxy.json").write_text(proxy_settings(self.facts, proxy))
        # No name server outside: only the cluster's own names resolve.
        (self.state / "resolv.conf").write_text(f"nameserver {self._plane.address}\n")


@contextlib.contextmanager
def node(name: str, plane: ControlPlane, legs: Sequence[Leg], pod_subnet: str) -> Iterator[Node]:
    """A node, not yet started, for the length of a `with` block."""
    with state_directory(name) as state:
        made = Node(name, plane, legs, pod_subnet, state)
        try:
            yield made
        finally:
            made.off()
