"""Kubernetes identities: which name of the mesh a reviewed service-account token may ask for. Pure.

The rule is Consul's default binding: a service is called as its ServiceAccount. The node agent's and the gateway's
accounts are named by the operator. A token that was not made for us (audience) or is bound to no pod proves nothing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from catalog.access.callers import Grant
from mesh.model.identity import Kind, SpiffeId

AUDIENCE = "linkspan"
NODE_NAME = "authentication.kubernetes.io/node-name"
POD_NAME = "authentication.kubernetes.io/pod-name"
UNBOUND_ACCOUNT = "default"
_USER_PREFIX = "system:serviceaccount:"


class ReviewRefusedError(Exception):
    """The token, or what it asks for, is refused; the text says why."""


class Cluster(msgspec.Struct, frozen=True):
    """One Kubernetes cluster whose tokens are accepted.

    `network` is that of its pods. Accounts are `namespace/name`, empty: none. `namespaces`: where services may run, empty: anywhere.
    """

    network: str
    agent_account: str = ""
    gateway_account: str = ""
    namespaces: tuple[str, ...] = ()
    audience: str = AUDIENCE


class Account(msgspec.Struct, frozen=True):
    """Who a reviewed token is: a ServiceAccount, and the pod and node that the token is bound to."""

    namespace: str
    name: str
    pod: str
    node: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def read_review(review: Mapping[str, Any], cluster: Cluster) -> Account:
    """The account that a TokenReview's answer proves (Kubernetes API authentication.k8s.io/v1).

    Raises:
        ReviewRefusedError: not authenticated, of another audience, no service account, or bound to no pod.
    """
    status = review.get("status")
    if not isinstance(status, Mapping) or status.get("authenticated") is not True:
        raise ReviewRefusedError("Kubernetes does not know the service-account token: it may have expired")
    audiences = status.get("audiences")
    if not isinstance(audiences, list) or cluster.audience not in audiences:
        raise ReviewRefusedError(f"the service-account token is not for the audience {cluster.audience!r}")
    user = status.get("user")
    user = user if isinstance(user, Mapping) else {}
    username = user.get("username")
    if not isinstance(username, str) or not username.startswith(_USER_PREFIX):
        raise ReviewRefusedError("the token is not a service account's")
    namespace, _, name = username.removeprefix(_USER_PREFIX).partition(":")
    extra = user.get("extra")
    extra = extra if isinstance(extra, Mapping) else {}
    pod, node = _one(extra.get(POD_NAME)), _one(extra.get(NODE_NAME))
    if not namespace or not name or not pod:
        raise ReviewRefusedError("the service-account token is not bound to a pod: use a projected token")
    return Account(namespace, name, pod, node)


def _one(values: object) -> str:
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return ""


def check_identity(account: Account, asked: SpiffeId, cluster: Cluster) -> Grant | None:
    """Whether the account may have the identity it asks for; returns the grant to keep if it is a node, else None.

    Raises:
        ReviewRefusedError: it may not.
    """
    if asked.kind is Kind.SERVICE:
        _check_service(account, asked, cluster)
        return None
    if asked.kind is Kind.NODE and str(account) == cluster.agent_account:
        if not account.node or account.node != asked.name:
            raise ReviewRefusedError(
                f"node {asked.name!r} is not where pod {account.pod!r} runs ({account.node or 'the token does not say'})"
            )
        return Grant(network=cluster.network, any_service=True)
    if asked.kind is Kind.GATEWAY and str(account) == cluster.gateway_account:
        if asked.name != cluster.network:
            raise ReviewRefusedError(f"the gateway's network is {cluster.network!r}, not {asked.name!r}")
        return None
    raise ReviewRefusedError(f"service account {account} may not be {asked.kind} {asked.name!r}")


def _check_service(account: Account, asked: SpiffeId, cluster: Cluster) -> None:
    if account.name == UNBOUND_ACCOUNT:
        raise ReviewRefusedError(
            f"pod {account.pod!r} runs as the service account 'default', which stands for no service: give it one of its own"
        )
    if account.name != asked.name:
        raise ReviewRefusedError(
            f"service account {account} stands for service {account.name!r}, not {asked.name!r}: they must be the same"
        )
    if cluster.namespaces and account.namespace not in cluster.namespaces:
        raise ReviewRefusedError(f"services do not run in namespace {account.namespace!r}")


def check_not_a_hosts(asked: SpiffeId, kept: Grant | None) -> None:
    """Whether the name of a Kubernetes node is free of a host that joined by an operator's token.

    Who may name a cluster's nodes must not take over a host of the same name, nor what that host was granted.

    Raises:
        ReviewRefusedError: it is taken, and was not withdrawn.
    """
    if asked.kind is Kind.NODE and kept is not None and not (kept.any_service or kept.withdrawn):
        raise ReviewRefusedError(
            f"node {asked.name!r} is a host that joined with a token of its own: give the Kubernetes node another name, "
            f"or take the host's grant back: linkspan token withdraw --node {asked.name}"
        )
