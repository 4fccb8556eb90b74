"""Kubernetes identities: what a TokenReview proves, and which names go with it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.access.callers import Grant
from catalog.access.kubernetes import Account, Cluster, ReviewRefusedError, check_identity, read_review
from mesh.model.identity import Kind, SpiffeId

CLUSTER = Cluster("k8s-east", "linkspan/agent", "linkspan/gateway", ("shop",))
WEB = Account("shop", "web", "web-0", "node-a")


def review(**changes: Any) -> dict[str, Any]:
    status: dict[str, Any] = {
        "authenticated": True,
        "audiences": ["linkspan"],
        "user": {
            "username": "system:serviceaccount:shop:web",
            "extra": {
                "authentication.kubernetes.io/pod-name": ["web-0"],
                "authentication.kubernetes.io/node-name": ["node-a"],
            },
        },
    }
    return {"kind": "TokenReview", "status": {**status, **changes}}


def test_review() -> None:
    """A bound token for our audience proves account, pod and node."""
    assert read_review(review(), CLUSTER) == WEB


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({}, "does not know"),
        ({"status": None}, "does not know"),
        (review(authenticated=False), "does not know"),
        (review(authenticated="true"), "does not know"),
        (review(audiences=["https://kubernetes.default.svc"]), "audience"),
        (review(audiences=None), "audience"),
        (review(audiences="linkspan"), "audience"),
        (review(user={"username": "admin"}), "service account"),
        (review(user=None), "service account"),
        (review(user={"username": "system:serviceaccount:shop:web"}), "bound"),
        (review(user={"username": "system:serviceaccount:shop:"}), "bound"),
        (
            review(
                user={
                    "username": "system:serviceaccount:a:b",
                    "extra": {"authentication.kubernetes.io/pod-name": ["a", "b"]},
                }
            ),
            "bound",
        ),
    ],
)
def test_review_refused(answer: dict[str, Any], named: str) -> None:
    """Anything less is refused, with the reason."""
    with pytest.raises(ReviewRefusedError, match=named):
        read_review(answer, CLUSTER)


def asked(kind: Kind, name: str) -> SpiffeId:
    return SpiffeId("td", kind, "dc1", name)


@pytest.mark.parametrize(
    ("account", "identity", "grant"),
    [
        (WEB, asked(Kind.SERVICE, "web"), None),
        (
            Account("linkspan", "agent", "p", "node-a"),
            asked(Kind.NODE, "node-a"),
            Grant(network="k8s-east", any_service=True),
        ),
        (Account("linkspan", "gateway", "p", "node-a"), asked(Kind.GATEWAY, "k8s-east"), None),
    ],
)
def test_identity(account: Account, identity: SpiffeId, grant: Grant | None) -> None:
    """A service is called as its account; the agent is its node; the gateway its network."""
    assert check_identity(account, identity, CLUSTER) == grant


@pytest.mark.parametrize(
    ("account", "identity", "named"),
    [
        (WEB, asked(Kind.SERVICE, "db"), "must be the same"),
        (Account("shop", "default", "p", "n"), asked(Kind.SERVICE, "default"), "default"),
        (Account("other", "web", "p", "n"), asked(Kind.SERVICE, "web"), "other"),
        (WEB, asked(Kind.NODE, "node-a"), "may not be"),
        (WEB, asked(Kind.GATEWAY, "k8s-east"), "may not be"),
        (WEB, asked(Kind.SERVER, ""), "may not be"),
        (Account("linkspan", "agent", "p", "node-a"), asked(Kind.NODE, "node-b"), "node-b"),
        (Account("linkspan", "agent", "p", ""), asked(Kind.NODE, ""), "does not say"),
        (Account("other", "agent", "p", "node-a"), asked(Kind.NODE, "node-a"), "may not be"),
        (Account("linkspan", "gateway", "p", "n"), asked(Kind.GATEWAY, "vm-paris"), "vm-paris"),
    ],
)
def test_identity_refused(account: Account, identity: SpiffeId, named: str) -> None:
    """No other name is given, with the reason."""
    with pytest.raises(ReviewRefusedError, match=named):
        check_identity(account, identity, CLUSTER)


def test_no_accounts_named() -> None:
    """A cluster without agent and gateway accounts admits services alone."""
    with pytest.raises(ReviewRefusedError):
        check_identity(Account("", "", "p", "n"), asked(Kind.NODE, "n"), Cluster("east"))
    assert check_identity(Account("any", "web", "p", "n"), asked(Kind.SERVICE, "web"), Cluster("east")) is None


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.just("system:serviceaccount:a:b"), st.just("linkspan")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["status", "user", "username", "extra", "audiences", "authenticated"]), inner),
    ),
)


@given(st.dictionaries(st.just("status"), _JSON))
def test_any_answer(answer: dict[str, Any]) -> None:
    """Any JSON is an account or a refusal."""
    try:
        read_review(answer, CLUSTER)
    except ReviewRefusedError:
        return
