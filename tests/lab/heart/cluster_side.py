"""The cluster's side of the heart test: our chart by Helm, then the pods. Network k8s-east, gateway on the outside link.

It must never give a pod an address or a right that the chart and its manifest do not.
"""

import json
from pathlib import Path

from tests.lab.heart import app
from tests.lab.heart.pods import NAMESPACE, NETWORK, RELEASE, PodService, app_files, manifests
from tests.lab.kube.cluster import Cluster
from tests.lab.process import LabError

CHART = Path(__file__).resolve().parents[3] / "helm/linkspan"
GATEWAY_ADDRESS = "192.0.2.10"
GATEWAY = f"{GATEWAY_ADDRESS}:8443"
TRUST_DOMAIN = "heart.test"
API = PodService("api", "http", 8080, "n2", (("web", 9191), ("ledger", 9192)))
CACHE = PodService("cache", "tcp", 6379, "n2")

# What carries the mesh runs on n1, which has the leg on the outside link; n2 is there to lose its power.
_VALUES = {
    "image": {"repository": "linkspan", "tag": "lab", "pullPolicy": "Never"},
    "network": NETWORK,
    "trustDomain": TRUST_DOMAIN,
    "catalog": {"persistence": {"enabled": False}, "nodeSelector": {"kubernetes.io/hostname": "n1"}},
    "meshGateway": {
        "hostNetwork": True,
        "wanAddress": GATEWAY,
        "nodeSelector": {"kubernetes.io/hostname": "n1"},
    },
}


def install(kube: Cluster, values: Path) -> None:
    """Install the chart and wait until everything in it is ready."""
    values.write_text(json.dumps(_VALUES))
    options = ["--namespace", NAMESPACE, "--create-namespace", "--values", str(values)]
    try:
        kube.helm("install", RELEASE, str(CHART), *options, "--wait", "--timeout", "90s")
    except LabError as failure:
        raise LabError(f"{failure}\n{kube.report(NAMESPACE)}") from failure


def start_pods(kube: Cluster) -> None:
    """Start the pods, without waiting for them."""
    program = Path(app.__file__).read_text()
    items = [app_files(program), *manifests(API), *manifests(CACHE)]
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def wait_pods(kube: Cluster) -> None:
    """Wait until application and proxy of every pod are ready."""
    for service in (API, CACHE):
        kube.wait_ready(NAMESPACE, f"pod/{service.name}")
