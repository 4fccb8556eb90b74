"""The node's lease: renewed every few seconds; when it lapses, the catalog marks the node critical until it is renewed.

It survives every `SyncError`, and asks for a full registration when the catalog may have forgotten this node.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

import trio

from agents.vm.host.upstream import Requester
from mesh.sync.link.errors import RefusedError, SyncError

log = logging.getLogger("linkspan.agent.lease")

RENEW_EVERY_S = 4.0
RETRY_EVERY_S = 1.0
LEASE_TTL_S = 12.0
ANSWER_WITHIN_S = 3.0
"""Short, so that after a renewal that hangs another address is tried before the lease is over."""


class Lease:
    """Keeps the lease of `node`. `on_lapse` is called when the lease may have lapsed and is held again."""

    def __init__(self, requester: Requester, node: str, on_lapse: Callable[[], None]) -> None:
        self._requester = requester
        self._node = node
        self._on_lapse = on_lapse
        self._renewed_s: float | None = None
        self.problem = ""

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            try:
                # The client has the same limit and must reach its own first: only then does it try another address next.
                with trio.fail_after(ANSWER_WITHIN_S + 0.5):
                    await self._renew()
            except (SyncError, trio.TooSlowError) as error:
                text = str(error) or f"no answer within {ANSWER_WITHIN_S:g} s"
                if not self.problem:
                    log.warning("the lease of node %r is not renewed: %s", self._node, text)
                self.problem = text
                await trio.sleep(RETRY_EVERY_S)
                continue
            self._renewed()
            await trio.sleep(RENEW_EVERY_S)

    async def _renew(self) -> None:
        target = f"/v1/linkspan/lease/{quote(self._node, safe='')}"
        answer = await self._requester.request("PUT", target, timeout_s=ANSWER_WITHIN_S)
        if answer.status == HTTPStatus.NOT_FOUND:
            self._on_lapse()  # the catalog forgot this node: register it again, then there is something to hold
        if answer.status != HTTPStatus.OK:
            raise RefusedError(answer.status, answer.first_line)

    def _renewed(self) -> None:
        now_s = trio.current_time()
        lapsed = self._renewed_s is not None and now_s - self._renewed_s > LEASE_TTL_S
        if self.problem:
            log.info("the lease of node %r is held again", self._node)
        if lapsed or self.problem:
            self._on_lapse()
        self._renewed_s, self.problem = now_s, ""
