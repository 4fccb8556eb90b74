"""The chart against a real API server, without nodes: what Helm makes of its values, and what an uninstall leaves."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kube.control_plane import ControlPlane, control_plane
from tests.lab.process import LabError, run

VALUES = ("--set", "network=k8s-east", "--set", "meshGateway.wanAddress=192.0.2.10:8443")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with control_plane() as running:
        yield running


def helm(plane: ControlPlane, *words: str) -> str:
    """The output of helm; raises LabError with what it said when it fails."""
    return run([str(plane.binaries / "helm"), f"--kubeconfig={plane.kubeconfig}", *words], timeout_s=120).stdout


def named(plane: ControlPlane, kind: str) -> set[str]:
    """The names of all of a kind in the release's namespace."""
    found: Any = json.loads(plane.kubectl("-n", "mesh", "get", kind, "-o", "json"))
    return {one["metadata"]["name"] for one in found["items"]}


@pytest.mark.slow
def test_an_uninstall_takes_the_trust_bundle_along(plane: ControlPlane) -> None:
    """The catalog makes that ConfigMap, not Helm; during the life of the release nothing of Helm's touches it."""
    helm(plane, "install", "linkspan", "helm/linkspan", "-n", "mesh", "--create-namespace", *VALUES)
    assert "linkspan-roots" not in named(plane, "configmap")
    plane.kubectl("-n", "mesh", "create", "configmap", "linkspan-roots", "--from-literal=roots.pem=made by the catalog")
    helm(plane, "upgrade", "linkspan", "helm/linkspan", "-n", "mesh", *VALUES, "--set", "catalog.namespaces={shop}")
    kept = json.loads(plane.kubectl("-n", "mesh", "get", "configmap", "linkspan-roots", "-o", "json"))
    assert kept["data"] == {"roots.pem": "made by the catalog"}
    helm(plane, "uninstall", "linkspan", "-n", "mesh")
    assert "linkspan-roots" not in named(plane, "configmap")


@pytest.mark.slow
def test_namespaces_reach_the_catalog(plane: ControlPlane) -> None:
    """Each as a flag; what is no namespace's name is refused before anything is installed."""
    made = helm(
        plane, "template", "x", "helm/linkspan", *VALUES, "--set", "catalog.namespaces={shop,bank}", "--validate"
    )
    assert [line.strip() for line in made.splitlines() if "kubernetes-namespace=" in line] == [
        "- --kubernetes-namespace=shop",
        "- --kubernetes-namespace=bank",
    ]
    with pytest.raises(LabError, match="/catalog/namespaces/0"):
        helm(plane, "template", "x", "helm/linkspan", *VALUES, "--set", "catalog.namespaces={Shop_}", "--validate")
