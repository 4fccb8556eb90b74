"""Whom a kubernetes method asks: the own cluster or the one it names; what is no token is not worth a question."""

from collections.abc import Mapping
from typing import Any

import pytest

from catalog.access.kubernetes import Cluster
from catalog.access.login.service_account import KubernetesConfig
from catalog.api.login.reviewers import UNKNOWN, Reviewers
from catalog.api.token_review import KubernetesJoin, ReviewUnavailableError

OK: Mapping[str, Any] = {"status": {"authenticated": True, "audiences": ["linkspan"]}}


class FakeReviewer:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answer = OK

    async def review(self, token: str, audience: str) -> Mapping[str, Any]:
        self.asked.append((token, audience))
        return self.answer


async def test_without_a_host_the_own_cluster_is_asked() -> None:
    """For the audience that it accepts."""
    reviewer = FakeReviewer()
    reviewers = Reviewers(KubernetesJoin(Cluster("pods"), reviewer))
    assert await reviewers.review(KubernetesConfig(), "a.b.c") == OK
    assert reviewer.asked == [("a.b.c", "linkspan")]
    for nonsense in ("x", "a.b", "é.é.é", "a.b." + "c" * 20_000):
        assert await reviewers.review(KubernetesConfig(), nonsense) == UNKNOWN
    assert len(reviewer.asked) == 1


@pytest.mark.parametrize("status", [{"authenticated": True}, {"authenticated": True, "audiences": ["other"]}, None])
async def test_a_cluster_that_did_not_look_at_the_audience_proves_nothing(status: Any) -> None:
    reviewer = FakeReviewer()
    reviewer.answer = {"status": status}
    assert await Reviewers(KubernetesJoin(Cluster("pods"), reviewer)).review(KubernetesConfig(), "a.b.c") == UNKNOWN


async def test_without_any_cluster_nobody_can_be_asked() -> None:
    with pytest.raises(ReviewUnavailableError, match="--kubernetes"):
        await Reviewers(None).review(KubernetesConfig(), "a.b.c")


async def test_a_server_that_cannot_be_asked_is_said_without_the_token() -> None:
    config = KubernetesConfig("https://127.0.0.1:1", "no certificate", "s3cret")
    with pytest.raises(ReviewUnavailableError) as caught:
        await Reviewers(None).review(config, "a.b.c")
    assert "s3cret" not in str(caught.value)
    assert "a.b.c" not in str(caught.value)
