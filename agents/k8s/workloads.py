"""Which pods are workloads of the mesh and how they stand in the catalog: pure functions over Kubernetes JSON.

A Service takes part when it carries the annotation `linkspan.io/mesh: "true"`. Its ready pods are registered under the
name in `linkspan.io/service` (default: the Service's name), each as an instance and as the sidecar in front of it.

| annotation (on the Service; a pod's own wins) | meaning | default |
|---|---|---|
| `linkspan.io/service` | service name in the mesh | the Service's name |
| `linkspan.io/port` | the port the application listens on | the Service's first targetPort |
| `linkspan.io/inbound-port` | the port its sidecar takes mesh connections on | 20000 |
| `linkspan.io/tags` | comma-separated tags | none |
| `linkspan.io/meta-<key>` | service meta | none |
| `linkspan.io/ignore: "true"` (pod) | leave this pod out | - |

No socket, clock or log. Bad annotations give a Refused value with the reason, never half a registration.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mesh.model.names import InvalidNameError, check_label

PREFIX = "linkspan.io/"
INBOUND_PORT = 20000
NETWORK_META = "linkspan-network"

Json = dict[str, Any]


class Workload(msgspec.Struct, frozen=True):
    """One pod as it should stand in the catalog: the Service and Check parts of its registrations, in their order.

    Of an application that is its instance, then the sidecar in front of it; of a mesh gateway the gateway alone.
    """

    instance: str
    services: tuple[Json, ...]
    checks: tuple[Json, ...]

    @property
    def service_ids(self) -> tuple[str, ...]:
        """The IDs of `services`."""
        return tuple(str(service["ID"]) for service in self.services)


class Refused(msgspec.Struct, frozen=True):
    """A pod or Service that asks for the mesh and cannot be registered, with whose fault it is."""

    what: str
    reason: str


def annotations(item: Json) -> Mapping[str, str]:
    """Our annotations of an object, without their prefix."""
    found = item["metadata"].get("annotations") or {}
    return {name.removeprefix(PREFIX): value for name, value in found.items() if name.startswith(PREFIX)}


def takes_part(service: Json) -> bool:
    """Whether a Kubernetes Service asks for the mesh and can select pods at all."""
    return annotations(service).get("mesh") == "true" and bool((service.get("spec") or {}).get("selector"))


def selects(service: Json, pod: Json) -> bool:
    """Whether the Service's selector matches the pod, in the same namespace."""
    if service["metadata"].get("namespace") != pod["metadata"].get("namespace"):
        return False
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in service["spec"]["selector"].items())


def readiness(pod: Json) -> tuple[str, str]:
    """The pod's check status and its text: passing only while it is Ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return "critical", "the pod is terminating"
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            if condition.get("status") == "True":
                return "passing", "the pod is ready"
            return "critical", f"the pod is not ready: {condition.get('reason') or 'no reason given'}"
    return "critical", "the pod has not reported readiness"


def is_present(pod: Json) -> bool:
    """Whether the pod has an address and has not ended."""
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in {"Succeeded", "Failed"}


def pod_meta(pod: Json, network: str) -> dict[str, str]:
    """The service meta that every registration of a pod carries; `k8s-uid` marks it as ours to take out."""
    return {
        "k8s-namespace": pod["metadata"].get("namespace", ""),
        "k8s-pod": pod["metadata"]["name"],
        "k8s-uid": str(pod["metadata"].get("uid", "")),
        NETWORK_META: network,
    }


def parse_port(text: str, what: str) -> int:
    """A port number; `what` names the setting in the error.

    Raises:
        ValueError: it is none.
    """
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ValueError(f"{what} {text[:40]!r} must be a port from 1 to 65535")
    return int(text)


def _target_port(service: Json, pod: Json) -> int:
    ports = service["spec"].get("ports") or ()
    if not ports:
        raise ValueError("the Service has no port; set linkspan.io/port")
    target = ports[0].get("targetPort", ports[0].get("port"))
    if isinstance(target, int):
        return target
    containers = [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("name") == target:
                return int(port["containerPort"])
    raise ValueError(f"no container of the pod has a port named {str(target)[:40]!r}; set linkspan.io/port")


def workload(service: Json, pod: Json, network: str) -> Workload | Refused:
    """How a pod that the Service selects stands in the catalog."""
    namespace, name = pod["metadata"].get("namespace", ""), pod["metadata"]["name"]
    settings = {**annotations(service), **annotations(pod)}
    try:
        mesh_name = check_label(settings.get("service") or service["metadata"]["name"], "service name")
        port = parse_port(settings["port"], "linkspan.io/port") if "port" in settings else _target_port(service, pod)
        inbound = parse_port(settings.get("inbound-port", str(INBOUND_PORT)), "linkspan.io/inbound-port")
    except (InvalidNameError, ValueError) as error:
        return Refused(f"pod {namespace}/{name}", str(error))
    address = pod["status"]["podIP"]
    instance = f"{name}-{mesh_name}"
    meta = {key.removeprefix("meta-"): value for key, value in settings.items() if key.startswith("meta-")}
    meta |= pod_meta(pod, network)
    tags = [tag.strip() for tag in settings.get("tags", "").split(",") if tag.strip()]
    sidecar_name, sidecar_id = f"{mesh_name}-sidecar-proxy", f"{instance}-sidecar-proxy"
    proxy = {
        "DestinationServiceName": mesh_name,
        "DestinationServiceID": instance,
        "LocalServiceAddress": "127.0.0.1",
        "LocalServicePort": port,
    }
    base = {"Address": address, "Meta": meta, "Tags": tags}
    own = {"ID": instance, "Service": mesh_name, "Port": port, **base}
    sidecar = {
        "ID": sidecar_id,
        "Service": sidecar_name,
        "Port": inbound,
        "Kind": "connect-proxy",
        "Proxy": proxy,
        **base,
    }
    checks = (readiness_check(instance, mesh_name, pod), readiness_check(sidecar_id, sidecar_name, pod))
    return Workload(instance, (own, sidecar), checks)


def readiness_check(service_id: str, service_name: str, pod: Json) -> Json:
    """The Check part of a registration: the pod's readiness as the kubelet reports it."""
    status, output = readiness(pod)
    return {
        "CheckID": f"service:{service_id}:k8s-readiness",
        "Name": "Kubernetes readiness",
        "Status": status,
        "Output": output,
        "ServiceID": service_id,
        "ServiceName": service_name,
        "Type": "kubernetes-readiness",
    }


def desired(services: Iterable[Json], pods: Iterable[Json], network: str) -> tuple[dict[str, Workload], list[Refused]]:
    """Every workload among `pods`, by instance ID, and everything that had to be refused."""
    taking_part = [service for service in services if takes_part(service)]
    found: dict[str, Workload] = {}
    refused: list[Refused] = []
    for pod in pods:
        if not is_present(pod) or annotations(pod).get("ignore") == "true":
            continue
        for service in taking_part:
            if not selects(service, pod):
                continue
            made = workload(service, pod, network)
            if isinstance(made, Refused):
                refused.append(made)
            else:
                found[made.instance] = made
    return found, refused


class Register(msgspec.Struct, frozen=True):
    """Put this workload into the catalog, or bring it up to date."""

    workload: Workload


class Deregister(msgspec.Struct, frozen=True):
    """Take these service IDs out of the catalog, the sidecar first so that callers leave before the application does."""

    service_ids: tuple[str, ...]


def reconcile(registered: Mapping[str, Workload], wanted: Mapping[str, Workload]) -> list[Register | Deregister]:
    """What turns the registrations that stand into those that should: removals first, nothing for what is equal."""
    actions: list[Register | Deregister] = [
        Deregister(one.service_ids[::-1]) for instance, one in registered.items() if instance not in wanted
    ]
    actions += [Register(one) for instance, one in wanted.items() if registered.get(instance) != one]
    return actions
