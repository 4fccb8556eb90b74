"""Auth methods of type `kubernetes`: a service-account token, reviewed by its cluster (Consul's Kubernetes auth method page)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from catalog.access.login.identity import Identity, ProofError
from catalog.access.login.web_token import MethodError

VARIABLES = ("serviceaccount.namespace", "serviceaccount.name", "serviceaccount.uid")
_PREFIX = "system:serviceaccount:"


class KubernetesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """`Config` of a method of type kubernetes. Without a `Host` the cluster is the catalog's own (`--kubernetes`)."""

    host: str = ""
    ca_cert: str = msgspec.field(default="", name="CACert")
    service_account_jwt: str = msgspec.field(default="", name="ServiceAccountJWT")


def read_kubernetes_config(config: Mapping[str, Any]) -> KubernetesConfig:
    """The configuration of a method of type kubernetes.

    Raises:
        MethodError: it cannot be used.
    """
    try:
        read = msgspec.convert({key: value for key, value in config.items() if value}, KubernetesConfig)
    except msgspec.ValidationError as error:
        raise MethodError(str(error)) from error
    if read.host and not read.host.startswith("https://"):
        raise MethodError("Host: it must be an https:// URL")
    if read.host and not (read.ca_cert and read.service_account_jwt):
        raise MethodError("CACert and ServiceAccountJWT are needed with Host")
    return read


def read_account(review: Mapping[str, Any]) -> Identity:
    """Who a TokenReview's answer proves (Kubernetes API authentication.k8s.io/v1).

    Raises:
        ProofError: not authenticated, or no service account.
    """
    status = review.get("status")
    if not isinstance(status, Mapping) or status.get("authenticated") is not True:
        raise ProofError("Kubernetes does not know the service-account token")
    user = status.get("user")
    user = user if isinstance(user, Mapping) else {}
    username = user.get("username")
    if not isinstance(username, str) or not username.startswith(_PREFIX):
        raise ProofError("the token is not a service account's")
    namespace, _, name = username.removeprefix(_PREFIX).partition(":")
    if not namespace or not name:
        raise ProofError("the token is not a service account's")
    account = {"namespace": namespace, "name": name, "uid": str(user.get("uid") or "")}
    return Identity({"serviceaccount": account}, {f"serviceaccount.{key}": value for key, value in account.items()})
