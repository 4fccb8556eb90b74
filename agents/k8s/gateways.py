"""Which pods are mesh gateways and how they stand in the catalog: pure functions over Kubernetes JSON.

| annotation (on the pod) | meaning |
|---|---|
| `linkspan.io/gateway-lan-port` | the port on which this network reaches the gateway; it makes the pod one |
| `linkspan.io/gateway-wan` | host:port where other networks reach it; without one it only lets calls out |

Only pods of the one ServiceAccount that the operator named are believed: whoever could announce a gateway could make
every call to other networks come its way.
"""

from collections.abc import Iterable

from agents.k8s.workloads import Json, Refused, Workload, annotations, is_present, parse_port, pod_meta, readiness_check
from mesh.sync.link.address import InvalidAddressError, parse_host_port

LAN_PORT, WAN = "gateway-lan-port", "gateway-wan"
SERVICE = KIND = "mesh-gateway"


def desired_gateways(pods: Iterable[Json], network: str, account: str) -> tuple[dict[str, Workload], list[Refused]]:
    """Every gateway among `pods` by instance ID, and all that had to be refused. `account` is `namespace/name`, empty: none."""
    found: dict[str, Workload] = {}
    refused: list[Refused] = []
    for pod in pods:
        if LAN_PORT not in annotations(pod) or not is_present(pod):
            continue
        made = gateway(pod, network, account)
        if isinstance(made, Refused):
            refused.append(made)
        else:
            found[made.instance] = made
    return found, refused


def gateway(pod: Json, network: str, account: str) -> Workload | Refused:
    """How a pod that says it is a mesh gateway stands in the catalog."""
    namespace, name = pod["metadata"].get("namespace", ""), pod["metadata"]["name"]
    settings = annotations(pod)
    own_account = f"{namespace}/{pod['spec'].get('serviceAccountName', '')}"
    if not account or own_account != account:
        return Refused(
            f"pod {namespace}/{name}",
            f"it runs as {own_account}; gateways run as {account or 'nobody: set --gateway-account'}",
        )
    try:
        address, port = pod["status"]["podIP"], parse_port(settings[LAN_PORT], f"linkspan.io/{LAN_PORT}")
        tagged = {"lan": {"Address": address, "Port": port}}
        if WAN in settings:
            wan = parse_host_port(settings[WAN])
            tagged["wan"] = {"Address": wan.host, "Port": wan.port}
    except (InvalidAddressError, ValueError) as error:
        return Refused(f"pod {namespace}/{name}", str(error))
    instance = f"{name}-{SERVICE}"
    service = {
        "ID": instance,
        "Service": SERVICE,
        "Kind": KIND,
        "Address": address,
        "Port": port,
        "TaggedAddresses": tagged,
        "Meta": pod_meta(pod, network),
    }
    return Workload(instance, (service,), (readiness_check(instance, SERVICE, pod),))
