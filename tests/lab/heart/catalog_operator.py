"""The operator of the heart test's mesh: speaks to the catalog through `kubectl exec` and `kubectl port-forward`.

It must never reach the catalog by a way that an administrator of the cluster does not have.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.lab.heart.pods import NAMESPACE, RELEASE
from tests.lab.kube.cluster import Cluster
from tests.lab.process import Daemon, LabError, run

CATALOG = f"statefulset/{RELEASE}-catalog"
_TOKEN_FILE = "/var/lib/linkspan/operator.token"
_FORWARDED = "127.0.0.1:18500"


class Operator:
    """Holds the operator's token and a forwarded port of the catalog's loopback API."""

    def __init__(self, kube: Cluster, log: Path) -> None:
        self._kube = kube
        self._token = kube.exec(NAMESPACE, CATALOG, "cat", _TOKEN_FILE).strip()
        assert kube.plane.host is not None
        kubectl = [str(kube.plane.binaries / "kubectl"), f"--kubeconfig={kube.kubeconfig}", "-n", NAMESPACE]
        forward = [*kube.plane.host.network_prefix(), *kubectl, "port-forward", CATALOG]
        self._forward = Daemon("port-forward", [*forward, f"{_FORWARDED.rpartition(':')[2]}:8500"], log)
        self._forward.wait_until(lambda: "Forwarding" in self._forward.tail(), "the forwarded port", timeout_s=30)

    def close(self) -> None:
        """End the forwarding."""
        self._forward.stop()

    def get(self, path: str) -> Any:
        """The JSON answer of the catalog."""
        return self._call("GET", path)

    def put(self, path: str, body: Any) -> Any:
        """Write JSON; returns the JSON answer."""
        return self._call("PUT", path, json.dumps(body))

    def write_entries(self, *entries: dict[str, Any]) -> None:
        """Write config entries."""
        for entry in entries:
            self.put("/v1/config", entry)

    def intend(self, source: str, destination: str, action: str) -> None:
        """Set who may call whom."""
        path = f"/v1/connect/intentions/exact?source={quote(source)}&destination={quote(destination)}"
        self.put(path, {"Action": action})

    def passing(self, service: str) -> list[str]:
        """The nodes on which a service is healthy, as the health endpoint says."""
        return [entry["Node"]["Node"] for entry in self.get(f"/v1/health/service/{service}?passing")]

    def callable(self, service: str) -> list[str]:
        """The nodes on which a service's proxy is healthy too: what callers in the mesh are told."""
        return [entry["Node"]["Node"] for entry in self.get(f"/v1/health/connect/{service}?passing")]

    def token(self, node: str, network: str, *, services: Sequence[str] = (), gateway: bool = False) -> dict[str, str]:
        """A one-time token for a machine with the pin of the root to trust: `{"Token", "CaPin", ...}`."""
        grants = [word for service in services for word in ("--service", service)] + ["--gateway"] * gateway
        words = ["token", "create", "--node", node, "--network", network, *grants, "--ttl", "10m", "--format", "json"]
        command = ["linkspan", *words, "--token-file", _TOKEN_FILE]
        made: dict[str, str] = json.loads(self._kube.exec(NAMESPACE, CATALOG, *command))
        return made

    def _call(self, method: str, path: str, body: str = "") -> Any:
        options = ["-s", "-S", "-m", "10", "-X", method, "-H", "@-", "-w", "\n%{http_code}"]
        content = ["--data-binary", body] if body else []
        argv = ["curl", *options, *content, f"http://{_FORWARDED}{path}"]
        assert self._kube.plane.host is not None
        said = run([*self._kube.plane.host.network_prefix(), *argv], stdin=f"X-Consul-Token: {self._token}\n").stdout
        text, _, status = said.rpartition("\n")
        if status != "200":
            raise LabError(f"{method} {path}: {status} {text}")
        return json.loads(text) if text.strip() else None
