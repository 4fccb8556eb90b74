"""Asking an API server: what is sent, and that every failure is one error."""

from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from catalog.access.kubernetes import Cluster
from catalog.authority.join import ReviewUnavailableError
from catalog.authority.token_review import ApiServerReviewer

CLUSTER = Cluster("k8s-east")


def reviewer(tmp_path: Path, handler: Any) -> ApiServerReviewer:
    token = tmp_path / "token"
    token.write_text("own-token\n")
    return ApiServerReviewer(
        CLUSTER, "https://api.test:6443/", token_file=token, transport=httpx2.MockTransport(handler)
    )


async def test_review(tmp_path: Path) -> None:
    """The token goes in the body with our audience, our own token in the header."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(201, json={"status": {"authenticated": True}})

    assert await reviewer(tmp_path, answer).review("jwt") == {"status": {"authenticated": True}}
    (request,) = seen
    assert str(request.url) == "https://api.test:6443/apis/authentication.k8s.io/v1/tokenreviews"
    assert request.headers["Authorization"] == "Bearer own-token"
    assert msgspec.json.decode(request.content)["spec"] == {"token": "jwt", "audiences": ["linkspan"]}


@pytest.mark.parametrize(
    "response",
    [httpx2.Response(403), httpx2.Response(500), httpx2.Response(201, text="junk"), httpx2.Response(200, json=[])],
)
async def test_bad_answers(tmp_path: Path, response: httpx2.Response) -> None:
    """An answer that is no TokenReview is no answer."""
    with pytest.raises(ReviewUnavailableError):
        await reviewer(tmp_path, lambda _: response).review("jwt")


async def test_unreachable(tmp_path: Path) -> None:
    """A server that cannot be reached, or a missing token of our own, is told as what it is."""

    def fail(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with pytest.raises(ReviewUnavailableError, match="k8s-east"):
        await reviewer(tmp_path, fail).review("jwt")
    missing = ApiServerReviewer(CLUSTER, "https://api.test", token_file=tmp_path / "none", ca_file=tmp_path / "none")
    with pytest.raises(ReviewUnavailableError):
        await missing.review("jwt")
