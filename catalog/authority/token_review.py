"""Asking a Kubernetes API server about a service-account token (TokenReview, authentication.k8s.io/v1).

An edge: the only place of the catalog that speaks to Kubernetes. It must never log a token. Our own token is read anew
for every call, since the kubelet replaces the file.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import trio

from catalog.access.kubernetes import Cluster
from catalog.authority.join import ReviewUnavailableError

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ApiServerReviewer:
    """Reviews tokens at one API server. `url` is its base (`https://10.0.0.1:6443`)."""

    def __init__(
        self,
        cluster: Cluster,
        url: str,
        *,
        token_file: Path = IN_CLUSTER / "token",
        ca_file: Path = IN_CLUSTER / "ca.crt",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.cluster = cluster
        self._url = url.rstrip("/") + PATH
        self._token_file = trio.Path(token_file)
        self._ca_file = ca_file
        self._transport = transport

    async def review(self, token: str) -> Mapping[str, Any]:
        """The TokenReview's answer.

        Raises:
            ReviewUnavailableError: the server, or our own token for it, cannot be used; the text says why.
        """
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self.cluster.audience]},
        }
        try:
            own = (await self._token_file.read_text()).strip()
            async with self._client() as client:
                answer = await client.post(
                    self._url,
                    content=msgspec.json.encode(body),
                    headers={"Authorization": f"Bearer {own}", "Content-Type": "application/json"},
                )
        except (OSError, httpx2.HTTPError) as error:
            raise ReviewUnavailableError(
                f"the API server of network {self.cluster.network!r} cannot be asked: {error or type(error).__name__}"
            ) from error
        if answer.status_code not in {200, 201} or len(answer.content) > MAX_ANSWER_BYTES:
            raise ReviewUnavailableError(
                f"the API server of network {self.cluster.network!r} answered {answer.status_code}: may the catalog's "
                "service account create tokenreviews (ClusterRole system:auth-delegator)?"
            )
        try:
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ReviewUnavailableError("the API server's answer is no TokenReview") from error

    def _client(self) -> httpx2.AsyncClient:
        """A client for one call: joins are rare, and an idle connection would outlive the server's certificate."""
        if self._transport is not None:
            return httpx2.AsyncClient(transport=self._transport, timeout=TIMEOUT_S)
        context = ssl.create_default_context(cafile=str(self._ca_file))
        return httpx2.AsyncClient(verify=context, timeout=TIMEOUT_S, trust_env=False, follow_redirects=False)
