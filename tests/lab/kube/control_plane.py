"""A Kubernetes control plane: etcd, API server, controllers and scheduler, on loopback or on a lab network.

It must never need root on loopback, and never be reached from outside: it is a laboratory (no fsync, plain etcd).
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.kube.build import CONTROL_PLANE, binaries
from tests.lab.kube.pki import Pki
from tests.lab.namespaces import Ground
from tests.lab.process import Daemon, free_port, run, state_directory

SERVICE_CIDR = "10.96.0.0/16"
POD_CIDR = "10.244.0.0/16"
_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


class ControlPlane:
    """A running control plane. `kubectl` acts as cluster administrator."""

    def __init__(self, state: Path, *, host: Ground | None = None, address: str = "127.0.0.1") -> None:
        """Prepare one in `state`; with `host` in the namespaces of that ground at `address`, else on loopback."""
        self.state = state
        self.address = address
        self.binaries = binaries(CONTROL_PLANE)
        self.pki = Pki(state / "pki")
        self.host = host
        if host is None:
            self.port, self._etcd_port, self._peer_port = free_port(), free_port(), free_port()
        else:
            self.port, self._etcd_port, self._peer_port = 6443, 2379, 2380
        self.server = f"https://{address}:{self.port}"
        self.kubeconfig = self.pki.kubeconfig("admin", self.server)
        self._network = host.network_prefix() if host else []
        self._inside = host.prefix() if host else []
        self._daemons: dict[str, Daemon] = {}
        hosts = (*_NAMES, "localhost", "127.0.0.1", "10.96.0.1", *({address} - {"127.0.0.1"}))
        self.pki.certify("apiserver", "kube-apiserver", None, hosts=hosts)

    def kubectl(self, *args: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """The output of kubectl; raises LabError with what it said when it fails."""
        return self.try_kubectl(*args, stdin=stdin, timeout_s=timeout_s, check=True).stdout

    def try_kubectl(
        self, *args: str, stdin: str | None = None, timeout_s: float = 60, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended."""
        kubectl = str(self.binaries / "kubectl")
        argv = [*self._network, kubectl, f"--kubeconfig={self.kubeconfig}", *args]
        return run(argv, stdin=stdin, timeout_s=timeout_s, check=check)

    def apply(self, manifest: str) -> None:
        """Create or change what the YAML text says."""
        self.kubectl("apply", "-f", "-", stdin=manifest)

    def start(self) -> None:
        """Start everything; returns when the default service account is there (about 8 s)."""
        self._start("etcd", *self._etcd_flags())
        self.start_api_server()
        self._start("kube-controller-manager", *self._controller_flags())
        self._start("kube-scheduler", *self._own_kubeconfig("scheduler"))
        account = ("-n", "default", "get", "serviceaccount", "default")
        self._daemons["kube-controller-manager"].wait_until(
            lambda: not self.try_kubectl(*account).returncode, "the default service account", timeout_s=60
        )

    def start_api_server(self) -> None:
        """Start the API server, first or again after `kill_api_server`; returns when it is ready."""
        server = self._start("kube-apiserver", *self._api_server_flags())
        ready = ("get", "--raw", "/readyz")
        server.wait_until(lambda: not self.try_kubectl(*ready).returncode, "the API server to be ready", timeout_s=90)

    def kill_api_server(self) -> None:
        """End the API server as a crash would."""
        self._daemons["kube-apiserver"].kill()

    def stop(self) -> None:
        """End everything, the last started first."""
        for daemon in reversed(self._daemons.values()):
            daemon.stop()
        self._daemons.clear()

    def log(self, component: str) -> str:
        """What a component printed, for failure reports."""
        return self._daemons[component].tail(20_000)

    def _start(self, name: str, *flags: str) -> Daemon:
        argv = [*self._inside, str(self.binaries / name), *flags]
        self._daemons[name] = Daemon(name, argv, self.state / f"{name}.log")
        return self._daemons[name]

    def _etcd_flags(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        return [
            f"--data-dir={self.state}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _api_server_flags(self) -> list[str]:
        pki = self.pki.directory
        alone = ["--endpoint-reconciler-type=none"] if self.host is None else []
        return [
            *alone,
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--cert-dir={self.state}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/accounts.pub",
            f"--service-account-signing-key-file={pki}/accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-aggregator-routing=true",  # webhooks are dialled at their pods: no kube-proxy needed here
            "--allow-privileged=true",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki}/front-ca.crt",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/front-proxy.crt",
            f"--proxy-client-key-file={pki}/front-proxy.key",
        ]

    def _own_kubeconfig(self, name: str) -> list[str]:
        path = self.pki.kubeconfig(name, self.server)
        kinds = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return [*(f"--{kind}={path}" for kind in kinds), "--secure-port=0", "--leader-elect=false"]

    def _controller_flags(self) -> list[str]:
        pki = self.pki.directory
        return [
            *self._own_kubeconfig("controller-manager"),
            f"--cluster-cidr={POD_CIDR}",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/accounts.key",
            "--use-service-account-credentials=true",
        ]


@contextlib.contextmanager
def control_plane(state: Path | None = None) -> Iterator[ControlPlane]:
    """A control plane on loopback for the length of a `with` block; needs no root. State lies in a directory of its own."""
    with contextlib.ExitStack() as stack:
        directory = state or stack.enter_context(state_directory("plane"))
        plane = ControlPlane(directory)
        stack.callback(plane.stop)
        plane.start()
        yield plane
