"""What a request costs in Python alone, both hops, without a kernel: fake sockets, the real machines, policy, metrics and log on.

`python -m benchmarks.micro` prints microseconds a request; `--profile` the functions that take them; `--vary` gives every request
other header fields, so that no head was seen before.
"""

import argparse
import cProfile
import itertools
import os
import pstats
import ssl
import time
from collections.abc import Callable
from typing import Any, cast

from benchmarks import pair
from benchmarks.identities import Authority
from mesh.identity.live import LiveIdentity
from mesh.identity.peer import Peer as Known
from mesh.model.identity import service_id
from mesh.proxy.inbound.caller import Caller
from mesh.proxy.inbound.guest import TrunkGuest
from mesh.proxy.inbound.side import InboundSide
from mesh.proxy.link import Link
from mesh.proxy.outbound.directory import Directory
from mesh.proxy.outbound.side import OutboundSide
from mesh.proxy.parts import Parts
from mesh.proxy.record import Recorder
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics
from mesh.transport.ring import READ, Ring
from mesh.wire.trunk import Trunk

CONNECTIONS = 64
options_nolog = bool(os.environ.get("NOLOG"))
REQUEST = (
    b"GET /api/items?page=2 HTTP/1.1\r\nHost: api.service.consul:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"
)
VARIED = (
    b"GET /api/items?page=%d HTTP/1.1\r\nHost: api.service.consul:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n"
    b"X-Request-Id: %032x\r\n\r\n"
)
BODY = b"hello world hello world hello world hello world hello world!\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 06:04:15 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 61\r\nConnection: keep-alive\r\n\r\n" + BODY
)


class FakeSocket:
    """Bytes in a list instead of a kernel."""

    numbers = itertools.count(1000)

    def __init__(self) -> None:
        self.inbox = bytearray()
        self.sent = bytearray()
        self.number = next(self.numbers)

    def fileno(self) -> int:
        return self.number

    def recv_into(self, view: memoryview, most: int = 0) -> int:
        size = min(len(self.inbox), most or len(view), 16384)
        if not size:
            raise BlockingIOError
        view[:size] = self.inbox[:size]
        del self.inbox[:size]
        return size

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def close(self) -> None:
        pass


class FakeTls(FakeSocket):
    """The same, with TLS's way to say that there is nothing."""

    def recv_into(self, view: memoryview, most: int = 0) -> int:
        try:
            return super().recv_into(view, most)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None


class FakeRing(Ring):
    """The ring without its epoll: turns are made by hand."""

    def __init__(self) -> None:
        super().__init__(time.perf_counter)
        self._in_turn = True

    def add(self, fd: int, machine: Any, mask: int) -> None:
        pass

    def modify(self, fd: int, mask: int) -> None:
        pass

    def remove(self, fd: int) -> None:
        pass

    def turn(self, calls: list[Callable[[int], None]]) -> None:
        """One turn in which these machines are readable."""
        self.now_s = time.perf_counter()
        for call in calls:
            call(READ)
        self._end_turn()
        self._in_turn = True


class FakeNursery:
    """Nothing is dialled here."""

    def start_soon(self, *_: object) -> None:
        raise AssertionError("something dials")


class FakeSweep:
    """No deadlines pass."""

    def add(self, member: object) -> None:
        pass


class Scene:
    """Both hops, joined by hand."""

    def __init__(self) -> None:
        self.ring = FakeRing()
        authority = Authority(pair.TRUST_DOMAIN)
        made = pair.Identities(authority.roots, {name: authority.leaf(name) for name in (pair.CALLER, pair.HTTP)})
        folder = cast("Any", _NoFolder())
        far_plan = pair.callee(pair.HTTP, "http", ("127.0.0.1", 1), made, folder)
        near_plan = pair.caller({pair.HTTP: 1, pair.TCP: 1}, 0, 0, made, folder)
        log = AccessLog(None if options_nolog else os.open(os.devnull, os.O_WRONLY), None)
        log.clock = time.perf_counter
        self.far = InboundSide(
            self._parts(made, pair.HTTP),
            far_plan.settings.inbound,
            Recorder("destination", self.ring, Metrics(), log),
            far_plan.snapshot,
        )
        near_parts, metrics = self._parts(made, pair.CALLER), Metrics()
        directory = Directory(near_parts, near_plan.snapshot, near_plan.settings.gateway_mode, metrics)
        self.near = OutboundSide(
            near_parts,
            near_plan.settings.upstreams,
            Recorder("source", self.ring, metrics, log),
            directory,
            near_plan.snapshot,
        )
        self._log = log
        self._join(directory)
        self._clients()

    def _parts(self, made: pair.Identities, name: str) -> Parts:
        settings = pair.ProxySettings()
        return Parts(
            ring=self.ring,
            sweep=cast("Any", FakeSweep()),
            nursery=cast("Any", FakeNursery()),
            identity=LiveIdentity(made.leaves[name], made.roots),
            timeouts=settings.timeouts,
            limits=settings.limits,
        )

    def _join(self, directory: Directory) -> None:
        router = directory.service(pair.HTTP).router
        target = router.targets[pair.HTTP]
        candidate = next(iter(directory._known(pair.HTTP).values()))  # noqa: SLF001 - joins the machines by hand
        peer = directory.peer(directory.aim(target), candidate)
        self.near_tls, self.far_tls = FakeTls(), FakeTls()
        self.near_tls.selected_alpn_protocol = lambda: "linkspan-trunk/1"
        peer._add(self.near_tls)  # noqa: SLF001 - joins the machines by hand
        self.near_link = peer._links[0]  # noqa: SLF001 - joins the machines by hand
        known = Known(service_id(pair.TRUST_DOMAIN, pair.DATACENTER, pair.CALLER), "1", 2e9)
        caller = Caller(known, "spiffe://x", b"", self.far.recorder, pair.HTTP)
        guest = TrunkGuest(self.far, caller)
        self.far_link = Link(self.ring, self.far_tls, Trunk(is_dialler=False), guest)
        self.apps = [FakeSocket() for _ in range(CONNECTIONS)]
        for app in self.apps:
            self.far.pool.adopt(app)
        self.origins = list(self.far.pool._all.values())  # noqa: SLF001 - joins the machines by hand

    def _clients(self) -> None:
        from mesh.proxy.http.client import ClientConnection

        port = next(port for port in self.near._ports if port.service_name == pair.HTTP)  # noqa: SLF001 - joins the machines by hand
        self.socks = [FakeSocket() for _ in range(CONNECTIONS)]
        self.clients = [ClientConnection(self.ring, sock, self.near.memo, port) for sock in self.socks]

    def round(self, requests: list[bytes]) -> None:
        """One request on every connection."""
        turn = self.ring.turn
        for sock, request in zip(self.socks, requests, strict=True):
            sock.inbox += request
        turn([client.on_ready for client in self.clients])
        self.far_tls.inbox, self.near_tls.sent = self.near_tls.sent, bytearray()
        while self.far_tls.inbox:
            turn([self.far_link.on_ready])
        for app in self.apps:
            assert app.sent
            app.sent.clear()
            app.inbox += ANSWER
        turn([origin.on_ready for origin in self.origins])
        self.near_tls.inbox, self.far_tls.sent = self.far_tls.sent, bytearray()
        while self.near_tls.inbox:
            turn([self.near_link.on_ready])
        for sock in self.socks:
            assert sock.sent.endswith(BODY)
            sock.sent.clear()
        self._log._lines.clear()  # noqa: SLF001 - joins the machines by hand


class _NoFolder:
    def __truediv__(self, name: str) -> str:
        return name


def main() -> None:
    """Print the cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--vary", action="store_true")
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    scene = Scene()
    numbers = itertools.count()

    def requests() -> list[bytes]:
        if options.vary:
            return [VARIED % (n, n) for n in itertools.islice(numbers, CONNECTIONS)]
        return [REQUEST] * CONNECTIONS

    rounds = [requests() for _ in range(options.rounds)]
    scene.round(rounds[0])
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    best_s = float("inf")
    for one in rounds:
        start_s = time.perf_counter()
        scene.round(one)
        best_s = min(best_s, time.perf_counter() - start_s)
    profile.disable()
    print(f"{best_s / CONNECTIONS * 1e6:.1f} us a request, both hops, best of {options.rounds} rounds of {CONNECTIONS}")
    if options.profile:
        stats = pstats.Stats(profile).sort_stats("tottime")
        stats.print_stats(60)
        stats.print_callers("len|method .get. of|builtins.min|builtins.max")


if __name__ == "__main__":
    main()
