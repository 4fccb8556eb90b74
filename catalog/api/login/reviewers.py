"""Whom a kubernetes auth method asks: the catalog's own cluster, or the API server that its configuration names.

Questions are bounded in number and time; neither the token that is asked about nor the one it is asked with is logged.
"""

import ssl
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec
import trio

from catalog.access.login.service_account import KubernetesConfig
from catalog.api.token_review import KubernetesJoin, ReviewUnavailableError

TIMEOUT_S = 10.0
AT_ONCE = 8
WAITING = 64
MAX_TOKEN = 16 * 1024
REVIEW_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
UNKNOWN: Mapping[str, Any] = {"status": {"authenticated": False}}


class Reviewers:
    """Asks clusters about tokens."""

    def __init__(self, own: KubernetesJoin | None) -> None:
        self._own = own
        self._limiter = trio.CapacityLimiter(AT_ONCE)
        self._waiting = 0

    async def review(self, config: KubernetesConfig, token: str) -> Mapping[str, Any]:
        """The TokenReview's answer.

        Raises:
            ReviewUnavailableError: there is none.
        """
        if len(token) > MAX_TOKEN or token.count(".") != 2 or not token.isascii():
            return UNKNOWN  # no JSON Web Token: not worth a question
        if not config.host:
            if self._own is None:
                raise ReviewUnavailableError("this catalog is in no cluster of its own: start it with --kubernetes")
            review = await self._own.reviewer.review(token, self._own.cluster.audience)
            return review if _is_for(review, self._own.cluster.audience) else UNKNOWN
        if self._waiting >= WAITING:
            raise ReviewUnavailableError(f"{self._waiting} token reviews wait: ask again in a few seconds")
        self._waiting += 1
        try:
            async with self._limiter:
                return await _ask(config, token)
        except (httpx2.HTTPError, OSError, msgspec.DecodeError, ValueError) as error:
            raise ReviewUnavailableError(f"the cluster's API server cannot be asked: {type(error).__name__}") from error
        finally:
            self._waiting -= 1


def _is_for(review: Mapping[str, Any], audience: str) -> bool:
    """Whether the cluster says that it looked at the audience: one that knows none would accept a token for anybody."""
    status = review.get("status")
    audiences = status.get("audiences") if isinstance(status, Mapping) else None
    return isinstance(audiences, list) and audience in audiences


async def _ask(config: KubernetesConfig, token: str) -> Mapping[str, Any]:
    context = ssl.create_default_context(cadata=config.ca_cert)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    headers = {"Authorization": f"Bearer {config.service_account_jwt}", "Content-Type": "application/json"}
    async with httpx2.AsyncClient(base_url=config.host, verify=context, timeout=TIMEOUT_S, trust_env=False) as client:
        answer = await client.post(REVIEW_PATH, content=msgspec.json.encode(body), headers=headers)
    if answer.status_code not in {200, 201}:
        raise ReviewUnavailableError(f"the cluster refuses token reviews: {answer.status_code}")
    review = msgspec.json.decode(answer.content)
    return review if isinstance(review, Mapping) else UNKNOWN
