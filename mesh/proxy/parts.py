"""What the two sides of a proxy are made with: its ring, its identity, its bounds."""

import time
from collections.abc import Awaitable, Callable

import trio

from mesh.identity.live import LiveIdentity
from mesh.proxy.settings import Limits, Timeouts
from mesh.transport.ring import Ring
from mesh.transport.sweep import Sweep

HTTP_ALPN = "http/1.1"
HTTP_PROTOCOLS = frozenset(("http", "http2", "grpc"))


class Parts:
    """One process's ring and what goes with it. `wall_clock` gives seconds since the epoch, for certificates."""

    def __init__(
        self,
        *,
        ring: Ring,
        sweep: Sweep,
        nursery: trio.Nursery,
        identity: LiveIdentity,
        timeouts: Timeouts,
        limits: Limits,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.ring = ring
        self.sweep = sweep
        self.nursery = nursery
        self.identity = identity
        self.timeouts = timeouts
        self.limits = limits
        self.wall_clock = wall_clock

    def start(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a coroutine that sets a connection up; as long as one runs, the ring does not linger."""
        self.ring.errands += 1
        self.nursery.start_soon(self._run, task, args)

    async def _run(self, task: Callable[..., Awaitable[None]], args: tuple[object, ...]) -> None:
        try:
            await task(*args)
        finally:
            self.ring.errands -= 1
