"""Which pods become workloads, and how they stand in the catalog."""

from typing import Any

import pytest

from agents.k8s.workloads import (
    Deregister,
    Refused,
    Register,
    Workload,
    desired,
    readiness,
    reconcile,
    selects,
    workload,
)

Json = dict[str, Any]


def service(name: str = "api", **annotations: str) -> Json:
    marks = {"linkspan.io/mesh": "true"} | {
        f"linkspan.io/{key.replace('_', '-')}": value for key, value in annotations.items()
    }
    ports = [{"port": 80, "targetPort": 8080}]
    return {
        "metadata": {"namespace": "shop", "name": name, "annotations": marks},
        "spec": {"selector": {"app": "api"}, "ports": ports},
    }


def pod(name: str = "api-1", *, ready: bool = True, **more: Any) -> Json:
    conditions = [
        {"type": "Ready", "status": "True" if ready else "False", "reason": None if ready else "ContainersNotReady"}
    ]
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": "u1", "labels": {"app": "api", "x": "y"}}
        | more.pop("metadata", {}),
        "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8081}]}]},
        "status": {"podIP": "10.244.1.7", "phase": "Running", "conditions": conditions} | more.pop("status", {}),
    }


def made(svc: Json, one: Json) -> Workload:
    result = workload(svc, one, "k8s-east")
    assert isinstance(result, Workload)
    return result


def test_a_ready_pod_is_an_instance_and_its_sidecar() -> None:
    """The instance has the application's port, the sidecar the inbound port and the instance as its destination."""
    one = made(service(), pod())
    assert one.services[0]["Service"] == "api"
    assert one.services[0]["Port"] == 8080
    assert one.services[1]["Kind"] == "connect-proxy"
    assert one.services[1]["Port"] == 20000
    assert one.services[1]["Proxy"]["DestinationServiceID"] == one.services[0]["ID"]
    assert {check["Status"] for check in one.checks} == {"passing"}
    assert one.services[0]["Meta"]["linkspan-network"] == "k8s-east"


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (pod(), "passing"),
        (pod(ready=False), "critical"),
        (pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), "critical"),
        (pod(status={"conditions": []}), "critical"),
    ],
    ids=["ready", "not ready", "terminating", "silent"],
)
def test_health_is_readiness(one: Json, status: str) -> None:
    """Only a ready pod that is not terminating passes."""
    assert readiness(one)[0] == status


def test_annotations_decide_and_the_pods_own_win() -> None:
    """Name, ports, tags and meta come from annotations; the pod's override the Service's."""
    svc = service(service="shop-api", port="9000", inbound_port="21000", tags="v1, blue", meta_version="v1")
    one = made(svc, pod(metadata={"annotations": {"linkspan.io/port": "9001"}, "labels": {"app": "api"}}))
    assert (one.services[0]["Service"], one.services[0]["Port"], one.services[1]["Port"]) == ("shop-api", 9001, 21000)
    assert one.services[0]["Tags"] == ["v1", "blue"]
    assert one.services[0]["Meta"]["version"] == "v1"


def test_a_named_target_port_is_found_in_the_pod() -> None:
    """A Service's targetPort by name is the container port of that name."""
    svc = service()
    svc["spec"]["ports"] = [{"port": 80, "targetPort": "web"}]
    assert made(svc, pod()).services[0]["Port"] == 8081


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        ({"port": "80a"}, "linkspan.io/port"),
        ({"service": "No_Name"}, "service name"),
        ({"inbound_port": "0"}, "inbound-port"),
    ],
)
def test_bad_annotations_are_refused_with_their_name(annotations: dict[str, str], reason: str) -> None:
    """Whatever is wrong is named, and nothing is registered by half."""
    result = workload(service(**annotations), pod(), "k8s-east")
    assert isinstance(result, Refused)
    assert reason in result.reason


def test_only_annotated_services_and_present_pods_count() -> None:
    """No annotation, no address, ended, ignored, another namespace: not in the mesh."""
    plain = service()
    plain["metadata"]["annotations"] = {}
    elsewhere = service()
    elsewhere["metadata"]["namespace"] = "other"
    assert not selects(elsewhere, pod())
    assert desired([plain, elsewhere], [pod()], "n") == ({}, [])
    ignored = pod(metadata={"annotations": {"linkspan.io/ignore": "true"}, "labels": {"app": "api"}})
    assert desired([service()], [pod(status={"podIP": ""}), pod(status={"phase": "Failed"}), ignored], "n") == ({}, [])


def test_reconcile_removes_first_and_leaves_what_is_equal() -> None:
    """The sidecar leaves before its instance; equal workloads cost no call."""
    one, two = made(service(), pod("a")), made(service(), pod("b"))
    sick = made(service(), pod("b", ready=False))
    actions = reconcile({one.instance: one, two.instance: two}, {sick.instance: sick})
    assert actions == [Deregister(("a-api-sidecar-proxy", "a-api")), Register(sick)]
    assert reconcile({one.instance: one}, {one.instance: one}) == []
