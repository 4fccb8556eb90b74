"""Which pods are believed to be mesh gateways, and how they stand in the catalog."""

from typing import Any

import pytest

from agents.k8s.gateways import desired_gateways, gateway
from agents.k8s.workloads import Refused, Workload

Json = dict[str, Any]
ACCOUNT = "mesh/linkspan-mesh-gateway"


def pod(name: str = "gw-1", account: str = "linkspan-mesh-gateway", **annotations: str) -> Json:
    marks = {f"linkspan.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "metadata": {"namespace": "mesh", "name": name, "uid": "u1", "annotations": marks},
        "spec": {"serviceAccountName": account, "containers": []},
        "status": {"podIP": "172.30.0.11", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_a_gateway_stands_with_both_of_its_sides() -> None:
    """Its own network finds the LAN port at the pod's address, others the address that the operator gave."""
    made = gateway(pod(gateway_lan_port="8444", gateway_wan="192.0.2.10:8443"), "k8s-east", ACCOUNT)
    assert isinstance(made, Workload)
    (service,) = made.services
    assert (service["Kind"], service["Address"], service["Port"]) == ("mesh-gateway", "172.30.0.11", 8444)
    assert service["TaggedAddresses"] == {
        "lan": {"Address": "172.30.0.11", "Port": 8444},
        "wan": {"Address": "192.0.2.10", "Port": 8443},
    }
    assert service["Meta"]["linkspan-network"] == "k8s-east"
    assert service["Meta"]["k8s-uid"] == "u1"
    assert [check["Status"] for check in made.checks] == ["passing"]


def test_an_ipv6_wan_address_loses_its_brackets() -> None:
    """The catalog keeps addresses bare."""
    made = gateway(pod(gateway_lan_port="8444", gateway_wan="[2001:db8::1]:8443"), "k8s-east", ACCOUNT)
    assert isinstance(made, Workload)
    assert made.services[0]["TaggedAddresses"]["wan"] == {"Address": "2001:db8::1", "Port": 8443}


@pytest.mark.parametrize("account", ["", "mesh/other", "else/linkspan-mesh-gateway"])
def test_only_the_operators_account_is_believed(account: str) -> None:
    """A pod that merely says so is refused with a reason; with no account named every one is."""
    found, refused = desired_gateways([pod(gateway_lan_port="8444")], "k8s-east", account)
    assert found == {}
    assert "runs as mesh/linkspan-mesh-gateway" in refused[0].reason


@pytest.mark.parametrize("annotations", [{"gateway_lan_port": "x"}, {"gateway_lan_port": "1", "gateway_wan": "host"}])
def test_bad_annotations_are_refused(annotations: dict[str, str]) -> None:
    """Half a gateway is never registered."""
    assert isinstance(gateway(pod(**annotations), "k8s-east", ACCOUNT), Refused)


def test_other_pods_are_left_alone() -> None:
    """Without the annotation a pod is no gateway, whatever it runs as; one that has ended is none any more."""
    ended = pod("gw-2", gateway_lan_port="8444") | {"status": {"phase": "Succeeded", "podIP": "172.30.0.11"}}
    assert desired_gateways([pod(), ended], "k8s-east", ACCOUNT) == ({}, [])
