"""The pods of the heart test as manifests, the proxy beside each application written by hand as long as there is no injector.

Pure: JSON values from names. A service is called as its ServiceAccount; a pod calls another service by its name, which
leads to its own proxy's listener for it (hostAliases).
"""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

NAMESPACE = "mesh"
RELEASE = "linkspan"
NETWORK = "k8s-east"
IMAGE = "linkspan:lab"
APP_FILES = "heart-app"
INBOUND_PORT, METRICS_PORT = 20000, 20200

_LOCKED: Json = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(frozen=True)
class PodService:
    """A service of one pod: what it speaks, where the application listens, whom it calls on which port of loopback."""

    name: str
    protocol: str
    port: int
    node: str
    upstreams: tuple[tuple[str, int], ...] = ()


def app_files(source: str) -> Json:
    """The ConfigMap that carries the application's program."""
    return _object("ConfigMap", APP_FILES) | {"data": {"app.py": source}}


def manifests(service: PodService) -> list[Json]:
    """ServiceAccount, annotated Service and pod."""
    account = _object("ServiceAccount", service.name) | {"automountServiceAccountToken": False}
    front = _object("Service", service.name, annotations={"linkspan.io/mesh": "true"})
    ports = [{"port": service.port, "targetPort": service.port}]
    return [account, front | {"spec": {"selector": {"app": service.name}, "ports": ports}}, _pod(service)]


def _object(kind: str, name: str, **metadata: Json) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, **metadata}}


def _pod(service: PodService) -> Json:
    spec = {
        "serviceAccountName": service.name,
        "nodeSelector": {"kubernetes.io/hostname": service.node},
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "hostAliases": [{"ip": "127.0.0.1", "hostnames": [name for name, _ in service.upstreams]}],
        "containers": [_application(service), _proxy(service)],
        "volumes": [
            {"name": "app", "configMap": {"name": APP_FILES}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": _TOKEN}]}},
            {"name": "roots", "configMap": {"name": f"{RELEASE}-roots"}},
            {"name": "state", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    }
    if not service.upstreams:
        del spec["hostAliases"]
    return _object("Pod", service.name, labels={"app": service.name}) | {"spec": spec}


_TOKEN: Json = {"audience": "linkspan", "expirationSeconds": 3600, "path": "token"}


def _container(name: str) -> Json:
    return {"name": name, "image": IMAGE, "imagePullPolicy": "Never", "securityContext": _LOCKED}


def _application(service: PodService) -> Json:
    command = ["/usr/bin/python3", "/srv/app.py", f"serve-{service.protocol}", service.name, str(service.port)]
    return _container("app") | {"command": command, "volumeMounts": [{"name": "app", "mountPath": "/srv"}]}


def _proxy(service: PodService) -> Json:
    args = [
        "proxy",
        f"--service={service.name}",
        f"--network={NETWORK}",
        f"--server={RELEASE}-catalog:8502",
        "--ca-file=/etc/linkspan/roots/roots.pem",
        "--token-file=/var/run/secrets/linkspan/token",
        "--state-dir=/var/lib/linkspan",
        "--gateway-mode=local",
        "--access-log=-",
        f"--inbound=0.0.0.0:{INBOUND_PORT}",
        f"--metrics=0.0.0.0:{METRICS_PORT}",
        f"--app=127.0.0.1:{service.port}",
        *(f"--upstream={name}=127.0.0.1:{port}" for name, port in service.upstreams),
    ]
    mounts = [
        {"name": "token", "mountPath": "/var/run/secrets/linkspan", "readOnly": True},
        {"name": "roots", "mountPath": "/etc/linkspan/roots", "readOnly": True},
        {"name": "state", "mountPath": "/var/lib"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    probe = {"httpGet": {"path": "/ready", "port": METRICS_PORT}, "periodSeconds": 1}
    return _container("proxy") | {"args": args, "volumeMounts": mounts, "readinessProbe": probe}
