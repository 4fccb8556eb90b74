"""The question to a Kubernetes API server: whose token is this (TokenReview, authentication.k8s.io/v1).

It asks and returns the answer; what that proves is judged by `catalog.access.kubernetes`. It must never log a token.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from catalog.access.kubernetes import Cluster


class ReviewUnavailableError(Exception):
    """The cluster's fault: its API server did not answer the question; try again later."""


class Reviewer(Protocol):
    """Whoever can ask a cluster about a token."""

    async def review(self, token: str, audience: str) -> Mapping[str, Any]:
        """The TokenReview's answer.

        Raises:
            ReviewUnavailableError: there is none.
        """
        ...


class KubernetesJoin(msgspec.Struct, frozen=True):
    """The cluster whose tokens are accepted, and who asks it."""

    cluster: Cluster
    reviewer: Reviewer
