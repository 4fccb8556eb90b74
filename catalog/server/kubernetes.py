"""The two calls that a catalog makes to a Kubernetes API server: TokenReview, and the ConfigMap with the trust bundle.

Our own token is read from its file for each call (the kubelet rotates it) and never logged. Reviews are bounded, and what
the cluster does not know is not asked again for a while, since whoever reaches the mesh port can ask for one.
"""

import hashlib
import logging
import math
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2
import msgspec
import trio

from catalog.api.token_review import ReviewUnavailableError
from catalog.server.settings import KubernetesAccess

logger = logging.getLogger(__name__)

REVIEWS_AT_ONCE = 8
REVIEWS_WAITING = 64
REFUSED_FOR_S = 10.0
"""How long a token that the cluster does not know is refused without asking again."""
REFUSED_KEPT = 4096
TIMEOUT_S = 10.0
MAX_TOKEN_BYTES = 16 * 1024
ROOTS_KEY = "roots.pem"
RETRY_S = 5.0

_UNKNOWN: Mapping[str, Any] = {"status": {"authenticated": False}}
_REVIEW_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class PublishError(Exception):
    """The cluster did not take the trust bundle; the text says why."""


class KubernetesApi:
    """A client of one API server: `async with KubernetesApi(access) as api`."""

    def __init__(self, access: KubernetesAccess) -> None:
        self._access = access
        self._limiter = trio.CapacityLimiter(REVIEWS_AT_ONCE)
        self._waiting = 0
        self._refused: dict[bytes, float] = {}
        self._client = httpx2.AsyncClient(
            base_url=access.url,
            verify=_context(access),
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def review(self, token: str, audience: str) -> Mapping[str, Any]:
        """See `catalog.api.token_review.Reviewer`."""
        if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2 or not token.isascii():
            return _UNKNOWN  # no JSON Web Token: not worth a question
        if self._waiting >= REVIEWS_WAITING:
            raise ReviewUnavailableError(f"{self._waiting} token reviews wait: ask again in a few seconds")
        key = hashlib.sha256(f"{audience} {token}".encode()).digest()
        if self._is_refused(key):
            return _UNKNOWN
        spec = {"token": token, "audiences": [audience]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        self._waiting += 1
        try:
            async with self._limiter:
                if self._is_refused(key):  # by the answer to another who asked while this one waited
                    return _UNKNOWN
                answer = await self._call("POST", _REVIEW_PATH, body, "application/json")
            if answer.status_code not in {200, 201}:
                raise ReviewUnavailableError(
                    f"the cluster refuses token reviews: {answer.status_code} {_reason(answer)}"
                )
            review = msgspec.json.decode(answer.content)
        except (httpx2.HTTPError, OSError, msgspec.DecodeError) as error:
            raise ReviewUnavailableError(f"the cluster's API server cannot be asked: {error}") from error
        finally:
            self._waiting -= 1
        review = review if isinstance(review, Mapping) else {}
        status = review.get("status")
        if not isinstance(status, Mapping) or status.get("authenticated") is not True:
            self._refuse(key)
        return review

    def _is_refused(self, key: bytes) -> bool:
        return self._refused.get(key, -math.inf) > trio.current_time()

    def _refuse(self, key: bytes) -> None:
        """Note a refusal; those that are over go, and of too many the oldest."""
        now_s = trio.current_time()
        self._refused.pop(key, None)
        while self._refused and (len(self._refused) >= REFUSED_KEPT or next(iter(self._refused.values())) <= now_s):
            del self._refused[next(iter(self._refused))]
        self._refused[key] = now_s + REFUSED_FOR_S

    async def publish_roots(self, name: str, pem: str) -> None:
        """Make the ConfigMap `namespace/name` hold the trust bundle, creating it if there is none.

        Raises:
            PublishError: the cluster did not take it.
        """
        namespace, _, config_map = name.partition("/")
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        data = {ROOTS_KEY: pem}
        try:
            answer = await self._call("PATCH", f"{path}/{config_map}", {"data": data}, "application/merge-patch+json")
            if answer.status_code == 404:
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": config_map}, "data": data}
                answer = await self._call("POST", path, body, "application/json")
        except (httpx2.HTTPError, OSError) as error:
            raise PublishError(f"the cluster's API server cannot be reached: {error}") from error
        if answer.status_code not in {200, 201}:
            raise PublishError(f"the cluster refuses the trust bundle: {answer.status_code} {_reason(answer)}")

    async def _call(self, method: str, path: str, body: Mapping[str, Any], content_type: str) -> httpx2.Response:
        own = (await trio.Path(self._access.token_file).read_text()).strip()
        headers = {"Authorization": f"Bearer {own}", "Content-Type": content_type, "Accept": "application/json"}
        return await self._client.request(method, path, content=msgspec.json.encode(body), headers=headers)


def _reason(answer: httpx2.Response) -> str:
    """The API server's own words, as far as there are any."""
    try:
        message = msgspec.json.decode(answer.content)["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return answer.text[:200]
    return str(message)[:200]


def _context(access: KubernetesAccess) -> ssl.SSLContext:
    """Trusts the cluster's CA alone, as its own clients do: Python 3.13's strict mode refuses authorities of real clusters."""
    context = ssl.create_default_context(cafile=str(access.ca_file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
