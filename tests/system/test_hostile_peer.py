"""A hostile peer with a valid certificate: whatever frames it writes, it costs a proxy at most 8 MB and brings nothing to the application.

Each attack goes to a real proxy in a process of its own, whose memory is read from /proc, while a good peer goes on being served.
"""

import contextlib
import socket
import statistics
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mesh.wire.trunk_frames import (
    DATA,
    GOAWAY,
    HEAD,
    OPEN,
    PING,
    RESET,
    TRAILERS,
    WINDOW,
    Code,
)
from mesh.wire.trunk_frames import END as END_FRAME
from tests.lab.counting_app import SILENCE, Answer, CountingApp
from tests.lab.mesh_pair import CALLER, STRANGER, Hop, Mesh, dial_mesh, mesh, read_answer, status_of
from tests.lab.trunk_peer import BODY, END, MORE, TrunkPeer, block, frame, opening, request

MARK = b"smuggled"
MOST_BYTES = 8 << 20
MANY = 100_000
SLICES = 20
SMALL, FULL = b"a", b"a" * 16376
U32 = struct.Struct("!I")


class GoodPeer:
    """A peer that asks a plain question over and over, on a trunk and on HTTP/1 of its own."""

    def __init__(self, hop: Hop, made: Mesh) -> None:
        self._sock = dial_mesh(hop.port, made.leaf(CALLER), made.roots)
        self._trunk = TrunkPeer(hop.port, made.leaf(CALLER), made.roots)
        self._streams = 0
        self.times_s: list[float] = []

    def ask(self) -> None:
        """Two requests; each is answered with 200."""
        begun_s = time.monotonic()
        self._sock.sendall(b"GET /well HTTP/1.1\r\nHost: api\r\n\r\n")
        assert status_of(read_answer(self._sock)) == 200
        self._streams += 1
        self._trunk.pour(request(self._streams, target=b"/well"))
        head = self._trunk.answer(self._streams, HEAD)
        assert head is not None
        assert head[1][:2] == b"\x00\xc8"
        self.times_s.append(time.monotonic() - begun_s)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()
        self._trunk.sock.close()


@dataclass(frozen=True)
class Scene:
    """One proxy of `api` under attack."""

    app: CountingApp
    made: Mesh
    hop: Hop
    good: GoodPeer

    def peer(self, service: str = CALLER) -> TrunkPeer:
        """A trunk of a service with a valid certificate."""
        return TrunkPeer(self.hop.port, self.made.leaf(service), self.made.roots)

    def settle(self) -> None:
        """Wait until the proxy has worked off what it was sent: its processor time stands still."""
        spent, still = -1.0, 0
        end_s = time.monotonic() + 20
        while still < 3 and time.monotonic() < end_s:
            time.sleep(0.02)  # noqa: TID251 - real processes know no virtual time
            now = self.hop.processor_s
            spent, still = now, still + 1 if now - spent < 0.005 else 0

    @contextlib.contextmanager
    def bounded(self, name: str) -> Iterator[None]:
        """What happens in the block costs at most `MOST_BYTES` at any moment, and the proxy serves on."""
        self.good.ask()
        self.hop.forget_peak()
        before, begun_s = self.hop.rss_bytes, time.monotonic()
        yield
        took_s = time.monotonic() - begun_s
        self.good.ask()
        grown = self.hop.peak_rss_bytes - before
        print(  # noqa: T201 - the numbers are for who looks with -s
            f"{name}: at most {grown / 1048576:.1f} MB more, {took_s:.1f} s, the good peer waited"
            f" {statistics.median(self.good.times_s) * 1000:.0f} ms, at most {max(self.good.times_s) * 1000:.0f} ms"
        )
        assert grown <= MOST_BYTES, f"{name}: {grown / 1048576:.1f} MB"
        assert self.hop.is_alive

    def pour(self, peer: TrunkPeer, data: bytes, *, reads: bool = True) -> None:
        """Write it all in slices, the good peer asking after each."""
        step = max(1, len(data) // SLICES)
        for at in range(0, len(data), step):
            is_on = peer.pour(data[at : at + step], reads=reads, timeout_s=2)
            self.good.ask()
            if not is_on:
                break
        self.settle()


@contextlib.contextmanager
def scene_of(app: CountingApp, made: Mesh, app_port: int | None = None) -> Iterator[Scene]:
    hop = made.callee(app.port if app_port is None else app_port)
    good = GoodPeer(hop, made)
    try:
        if app_port is None:
            for _ in range(20):
                good.ask()
        yield Scene(app, made, hop, good)
    finally:
        good.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with mesh(tmp_path_factory.mktemp("hostile")) as one:
        yield one


@pytest.fixture(scope="module")
def app() -> Iterator[CountingApp]:
    with CountingApp() as one:
        one.answers[b"/silence"] = SILENCE
        one.answers[b"/big"] = Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 16777216\r\n\r\n" + bytes(1 << 24))
        yield one


@pytest.fixture(scope="module")
def scene(app: CountingApp, made: Mesh) -> Iterator[Scene]:
    """One proxy that takes all the attacks that are over at once."""
    with scene_of(app, made) as one:
        yield one


@pytest.fixture
def fresh(app: CountingApp, made: Mesh) -> Iterator[Scene]:
    """A proxy for one attack, so that its memory is that attack's."""
    with scene_of(app, made) as one:
        yield one


def assert_untouched(scene: Scene) -> None:
    """Nothing of what a peer tried to bring to the application is there (it is looked at once)."""
    received = bytes(scene.app.received)
    scene.app.received.clear()
    assert MARK not in received, received[-2000:]


ASK = request(1, 0, target=b"/silence")  # open, its body to follow
ASKED = request(1, target=b"/silence")  # whole, and never answered
LONG = struct.pack("!BIBHBH", 1, 0, 3, 60000, 0, 1)

# What no peer that keeps to the protocol writes, and the code of the GOAWAY that it gets.
BROKEN: dict[str, tuple[bytes, Code]] = {
    "length over the frame's": (frame(1, OPEN, length=0xFFFF), Code.PROTOCOL),
    "length just over": (frame(1, OPEN, length=16377), Code.PROTOCOL),
    "kind 0": (frame(1, 0), Code.PROTOCOL),
    "kind 10": (frame(1, 10), Code.PROTOCOL),
    "kind 255": (frame(1, 255, 255, b"x"), Code.PROTOCOL),
    "HTTP instead of frames": (b"GET /smuggled HTTP/1.1\r\nHost: api\r\n\r\n", Code.PROTOCOL),
    "zeros": (bytes(64), Code.PROTOCOL),
    "OPEN of stream 0": (request(0), Code.PROTOCOL),
    "OPEN of stream 2 first": (request(2), Code.PROTOCOL),
    "OPEN of the last id": (request(0xFFFFFFFF), Code.PROTOCOL),
    "OPEN twice": (ASK + ASK, Code.PROTOCOL),
    "OPEN without content": (frame(1, OPEN), Code.PROTOCOL),
    "OPEN of protocol 2": (frame(1, OPEN, 0, b"\x02" + opening()[1:]), Code.PROTOCOL),
    "OPEN of TCP with more": (frame(1, OPEN, 0, b"\x00smuggled"), Code.PROTOCOL),
    "OPEN of TCP with its end": (frame(1, OPEN, END, b"\x00"), Code.PROTOCOL),
    "OPEN shorter than its lengths": (frame(1, OPEN, END, LONG + b"GET/smuggled"), Code.PROTOCOL),
    "OPEN cut in its lengths": (frame(1, OPEN, END, LONG[:5]), Code.PROTOCOL),
    "OPEN without fields": (frame(1, OPEN, END, struct.pack("!BIBHBH", 1, 0, 3, 1, 0, 0) + b"GET/"), Code.PROTOCOL),
    "OPEN with a body that no flag tells": (frame(1, OPEN, END, opening(body=b"smuggled")), Code.PROTOCOL),
    "OPEN without the body that a flag tells": (frame(1, OPEN, END | BODY, opening()), Code.PROTOCOL),
    "OPEN with unknown flags": (frame(1, OPEN, 128, opening()), Code.PROTOCOL),
    "OPEN in parts, with a body": (frame(1, OPEN, MORE | BODY, opening()), Code.PROTOCOL),
    "HEAD from the caller": (ASK + frame(1, HEAD, END, b"\x00\xc8\x00\x01\x00"), Code.PROTOCOL),
    "DATA on nothing": (frame(1, DATA, 0, b"smuggled"), Code.PROTOCOL),
    "DATA on stream 0": (frame(0, DATA, 0, b"smuggled"), Code.PROTOCOL),
    "DATA after the end": (ASKED + frame(1, DATA, 0, b"smuggled"), Code.PROTOCOL),
    "DATA without content": (ASK + frame(1, DATA), Code.PROTOCOL),
    "END on nothing": (frame(9, END_FRAME), Code.PROTOCOL),
    "END twice": (ASK + frame(1, END_FRAME) + frame(1, END_FRAME), Code.PROTOCOL),
    "END with content": (ASK + frame(1, END_FRAME, 0, b"smuggled"), Code.PROTOCOL),
    "TRAILERS on nothing": (frame(1, TRAILERS, 0, block(())), Code.PROTOCOL),
    "TRAILERS after the end": (ASKED + frame(1, TRAILERS, 0, block(())), Code.PROTOCOL),
    "TRAILERS without content": (ASK + frame(1, TRAILERS), Code.PROTOCOL),
    "RESET of nothing": (frame(1, RESET, 0, U32.pack(2)), Code.PROTOCOL),
    "RESET of three bytes": (ASK + frame(1, RESET, 0, b"abc"), Code.PROTOCOL),
    "WINDOW of nothing": (frame(1, WINDOW, 0, U32.pack(1)), Code.PROTOCOL),
    "WINDOW of zero": (frame(0, WINDOW, 0, U32.pack(0)), Code.PROTOCOL),
    "WINDOW of five bytes": (frame(0, WINDOW, 0, b"abcde"), Code.PROTOCOL),
    "WINDOW over 2 GiB": (frame(0, WINDOW, 0, U32.pack(0x7FFFFFFF)), Code.FLOW),
    "WINDOW over 2 GiB on a stream": (ASKED + frame(1, WINDOW, 0, U32.pack(0x7FFFFFFF)), Code.FLOW),
    "PING of seven bytes": (frame(0, PING, 0, b"1234567"), Code.PROTOCOL),
    "PING on a stream": (frame(1, PING, 0, b"12345678"), Code.PROTOCOL),
    "PING with unknown flags": (frame(0, PING, 2, b"12345678"), Code.PROTOCOL),
    "GOAWAY of seven bytes": (frame(0, GOAWAY, 0, b"1234567"), Code.PROTOCOL),
    "GOAWAY on a stream": (frame(1, GOAWAY, 0, b"12345678"), Code.PROTOCOL),
    "half a head, then another stream": (frame(1, OPEN, MORE, opening()[:9]) + request(2), Code.PROTOCOL),
    "half a head, then a PING": (frame(1, OPEN, MORE, opening()[:9]) + frame(0, PING, 0, bytes(8)), Code.PROTOCOL),
    "parts without content": (frame(1, OPEN, MORE, b"x") + frame(1, OPEN, MORE), Code.PROTOCOL),
    "a head over 64 KiB": (frame(1, OPEN, MORE, FULL) * 5, Code.PROTOCOL),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_ends_its_trunk(scene: Scene, name: str) -> None:
    """A frame that breaks the protocol is answered with GOAWAY and the end of the trunk; what follows it is not read."""
    data, code = BROKEN[name]
    follows = b"".join(request(number, target=b"/smuggled") for number in (1, 2, 3))
    with scene.peer() as peer:
        peer.pour(data + follows)
        said = peer.read_until_closed()
        assert said is not None, "the trunk was not closed"
        assert said[0] == code, said
    scene.good.ask()
    assert_untouched(scene)
    assert "failed" not in scene.hop.said(), "an error of our own"


CONTROLS = {"CR": b"a\rb", "LF": b"a\nb", "CRLF": b"a\r\nsmuggled: 1", "NUL": b"a\0b", "DEL": b"a\x7fb", "a request": b"a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: api\r\n\r\n"}  # fmt: skip
HOST = (b"host", b"api")
TO = b"/smuggled"
# Heads whose frames are fine, each refused with a 400 of its own.
HEADS: dict[str, bytes] = {
    **{f"{name} in a value": opening(target=TO, fields=(HOST, (b"x-a", bad))) for name, bad in CONTROLS.items()},
    **{f"{name} in a name": opening(target=TO, fields=(HOST, (bad, b"b"))) for name, bad in CONTROLS.items()},
    **{f"{name} in the host": opening(target=TO, fields=((b"host", bad),)) for name, bad in CONTROLS.items()},
    **{f"{name} in the target": opening(target=b"/" + bad) for name, bad in CONTROLS.items()},
    **{f"{name} in the method": opening(method=bad[:250], target=TO) for name, bad in CONTROLS.items()},
    **{f"{name} for a trace": opening(target=TO, trace=bad) for name, bad in CONTROLS.items()},
    **{
        f"{name} after a trace": opening(target=TO, trace=b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01" + bad)
        for name, bad in CONTROLS.items()
    },
    "a space in the method": opening(method=b"GET /a", target=TO),
    "a space in the target": opening(target=TO + b" HTTP/1.1"),
    "no method": opening(method=b"", target=TO),
    "no target": opening(target=b""),
    "a target without slash": opening(target=b"smuggled"),
    "a target of another host": opening(target=b"http://smuggled/"),
    "a path that has no one spelling": opening(target=b"/a%2f..%2fsmuggled"),
    "no host": opening(target=TO, fields=((b"x-a", b"b"),)),
    "no fields": opening(target=TO, fields=()),
    "two hosts": opening(target=TO, fields=(HOST, HOST)),
    "a name of nothing": opening(target=TO, fields=(HOST, (b"", b"b"))),
    "a name with a space": opening(target=TO, fields=(HOST, (b"x a", b"b"))),
    "a name with a colon": opening(target=TO, fields=(HOST, (b"x:a", b"b"))),
    "pseudo method": opening(target=TO, fields=(HOST, (b":method", b"DELETE"))),
    "pseudo path": opening(target=TO, fields=(HOST, (b":path", b"/smuggled"))),
    "pseudo authority": opening(target=TO, fields=((b":authority", b"api"),)),
    "transfer-encoding": opening(target=TO, fields=(HOST, (b"transfer-encoding", b"chunked"))),
    "Transfer-Encoding": opening(target=TO, fields=(HOST, (b"Transfer-Encoding", b"chunked"))),
    "connection": opening(target=TO, fields=(HOST, (b"connection", b"close"))),
    "keep-alive": opening(target=TO, fields=(HOST, (b"keep-alive", b"5"))),
    "te": opening(target=TO, fields=(HOST, (b"te", b"trailers"))),
    "two lengths": opening(target=TO, fields=(HOST, (b"content-length", b"0"), (b"content-length", b"5"))),
    "a length that is no number": opening(target=TO, fields=(HOST, (b"content-length", b"+5"))),
    "a length without its body": opening(target=TO, fields=(HOST, (b"content-length", b"5"))),
    "fields that are not there": struct.pack("!BIBHBH", 1, 0, 3, 9, 0, 3) + b"GET" + TO + b"\xffab",
    "fields longer than their block": struct.pack("!BIBHBH", 1, 0, 3, 9, 0, 9)
    + b"GET"
    + TO
    + b"\x01\xff\xff\xff\xffhost",
    "fields shorter than their block": struct.pack("!BIBHBH", 1, 0, 3, 9, 0, 9) + b"GET" + TO + b"\x01\0\x01\0\x01host",
}
TOO_LARGE: dict[str, bytes] = {
    "101 fields": opening(target=TO, fields=(HOST, *(((b"x", b"y"),) * 100))),
    "255 fields": opening(target=TO, fields=(HOST, *(((b"x", b"y"),) * 254))),
    "a field of 60 KB": opening(target=TO, fields=(HOST, (b"x", b"y" * 61_440))),
    "a name of 60 KB": opening(target=TO, fields=(HOST, (b"x" * 61_440, b"y"))),
}


def parts(stream: int, payload: bytes, flags: int = END) -> bytes:
    """An OPEN in as many frames as it takes."""
    pieces = [payload[at : at + len(FULL)] for at in range(0, len(payload), len(FULL))]
    return b"".join(frame(stream, OPEN, MORE, piece) for piece in pieces[:-1]) + frame(stream, OPEN, flags, pieces[-1])


@pytest.mark.parametrize(
    ("heads", "status"), [(HEADS, (400, 501)), (TOO_LARGE, (431,))], ids=["malformed", "too large"]
)
def test_a_bad_head_ends_its_stream_only(scene: Scene, heads: dict[str, bytes], status: tuple[int, ...]) -> None:
    """A head that may not pass is answered on its stream; the trunk goes on, the application gets nothing."""
    requests = len(scene.app.requests)
    wrong = {}
    with scene.peer() as peer:
        for number, name in enumerate(heads, 1):
            peer.pour(parts(number, heads[name]))
            answer = peer.answer(number, HEAD)
            got = int.from_bytes(answer[1][:2], "big") if answer is not None else 0
            if got not in status:
                wrong[name] = got
        assert wrong == {}
        peer.pour(request(len(heads) + 1, target=b"/well"))
        assert peer.answer(len(heads) + 1, HEAD) is not None
    assert [head.split(b" ")[1] for head in scene.app.requests[requests:]] == [b"/well"]
    assert_untouched(scene)


def test_a_peer_cannot_say_who_it_is(scene: Scene) -> None:
    """Trust fields are dropped whatever their spelling, and the certificate's name is there once."""
    names = (b"x-forwarded-client-cert", b"X-Forwarded-Client-Cert", b"x_forwarded_client_cert", b"x-linkspan-admin")
    with scene.peer() as peer:
        peer.pour(request(1, target=b"/who", fields=(HOST, *((name, MARK) for name in names))))
        assert peer.answer(1, HEAD) is not None
    head = next(one for one in reversed(scene.app.requests) if b" /who " in one)
    assert head.count(b"x-forwarded-client-cert: By=spiffe://") == 1
    assert_untouched(scene)


@pytest.mark.parametrize(
    "trailers", [b"\xffsmuggled", block(((b"x", b"a\rb"),)), block(((b"host", MARK),)), block(((b":path", MARK),))]
)
def test_bad_trailers_never_arrive(scene: Scene, trailers: bytes) -> None:
    """Trailers that are no fields, or fields that no trailer may be, reset their stream; the request is never whole."""
    requests = len(scene.app.requests)
    with scene.peer() as peer:
        peer.pour(request(1, 0, method=b"POST", target=b"/trailers") + frame(1, DATA, 0, b"a"))
        peer.pour(frame(1, TRAILERS, 0, trailers))
        assert peer.answer(1, RESET) is not None
    scene.good.ask()
    assert {head.split(b" ")[1] for head in scene.app.requests[requests:]} == {b"/well"}
    assert_untouched(scene)
    assert "failed" not in scene.hop.said(), "an error of our own"


LENGTH = (HOST, (b"content-length", b"5"))
BODIES = {
    "longer than announced": frame(1, DATA, 0, b"hello smuggled"),
    "longer in the next frame": frame(1, DATA, 0, b"hello") + frame(1, DATA, END, b"smuggled"),
    "shorter than announced": frame(1, DATA, END, b"hel"),
    "shorter, by END": frame(1, DATA, 0, b"hel") + frame(1, END_FRAME),
    "nothing of it": frame(1, END_FRAME),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_keeps_to_its_length(scene: Scene, name: str) -> None:
    """A body that is not of the length announced never becomes a whole request, nor part of the next one."""
    requests = len(scene.app.requests)
    with scene.peer() as peer:
        peer.pour(request(1, 0, method=b"POST", target=b"/body", fields=LENGTH) + BODIES[name])
        answer = peer.answer(1, HEAD)
        assert answer is None or answer[1][:2] == b"\x01\x90"
    for _ in range(3):
        scene.good.ask()
    assert {head.split(b" ")[1] for head in scene.app.requests[requests:]} <= {b"/well"}
    assert_untouched(scene)


def test_the_broken_cost_little(scene: Scene) -> None:
    """A hundred and fifty trunks broken in every way there is leave no more than 8 MB behind."""
    leaf = scene.made.leaf(CALLER)
    with scene.bounded("150 broken trunks"):
        for number, (data, _) in enumerate(list(BROKEN.values()) * 3):
            with contextlib.closing(dial_mesh(scene.hop.port, leaf, scene.made.roots, "linkspan-trunk/1")) as sock:
                sock.sendall(data)
            if not number % 50:
                scene.good.ask()


# -- floods --


def opens(count: int, *, flags: int = END, payload: bytes | None = None, first: int = 1) -> bytes:
    """So many OPENs."""
    content = opening(target=b"/silence") if payload is None else payload
    return b"".join(frame(number, OPEN, flags, content) for number in range(first, first + count))


@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
def test_a_flood_of_opens_by_who_may_not_call(fresh: Scene, reads: bool) -> None:
    """100,000 requests of a service that is not allowed: each is refused, and whether it reads that is its own affair."""
    requests = len(fresh.app.requests)
    with fresh.bounded("100,000 OPENs denied" + ("" if reads else ", answers not read")), fresh.peer(STRANGER) as peer:
        fresh.pour(peer, opens(MANY, payload=opening(target=TO)), reads=reads)
    assert_untouched(fresh)
    assert {head.split(b" ")[1] for head in fresh.app.requests[requests:]} == {b"/well"}


def test_a_hundred_thousand_refusals(fresh: Scene) -> None:
    """The same by a peer that keeps to every bound and so is never cut: each of its requests gets a 403, and no more."""
    payload, batch = opening(target=TO), 500
    with fresh.bounded("100,000 OPENs denied, 500 at a time"), fresh.peer(STRANGER) as peer:
        peer.pour(frame(0, WINDOW, 0, U32.pack(1 << 30)))
        for number in range(0, MANY, batch):
            peer.pour(opens(batch, payload=payload, first=number + 1))
            assert peer.answer(number + batch, HEAD) is not None
            if not number % (batch * 10):
                fresh.good.ask()
        assert not peer.is_closed
    assert_untouched(fresh)


def test_a_flood_of_opens_by_who_may_call(fresh: Scene) -> None:
    """100,000 requests at once that are never answered: 1,024 are taken, as many refused, then the trunk is over."""
    before = len(fresh.app.requests)
    with fresh.bounded("100,000 OPENs"), fresh.peer() as peer:
        fresh.pour(peer, opens(MANY))
        assert peer.read_until_closed() == (Code.FLOOD, "streams are opened over the limit again and again")
    taken = [head for head in fresh.app.requests[before:] if b" /silence " in head]
    assert len(taken) <= 1024


@pytest.mark.parametrize("payload", [None, b"\x00"], ids=["HTTP", "TCP"])
def test_a_flood_of_resets(fresh: Scene, payload: bytes | None) -> None:
    """100,000 streams opened and reset at once: over after a thousand."""
    before = len(fresh.app.requests)
    content = opening(target=b"/silence") if payload is None else payload
    data = b"".join(
        frame(number, OPEN, 0, content) + frame(number, RESET, 0, U32.pack(2)) for number in range(1, MANY + 1)
    )
    with fresh.bounded(f"100,000 OPENs and RESETs, {'HTTP' if payload is None else 'TCP'}"), fresh.peer() as peer:
        fresh.pour(peer, data)
        assert peer.read_until_closed() == (Code.FLOOD, "streams are opened and reset faster than any is finished")
    taken = [head for head in fresh.app.requests[before:] if b" /silence " in head]
    assert len(taken) <= 10, "a request that is reset at once should not reach the application"


FLOODS = {
    "PING": frame(0, PING, 0, b"12345678"),
    "PING answers": frame(0, PING, 1, b"12345678"),
    "WINDOW": frame(0, WINDOW, 0, U32.pack(1)),
    "WINDOW on a stream": frame(1, WINDOW, 0, U32.pack(1)),
    "GOAWAY": frame(0, GOAWAY, 0, bytes(8) + b"a" * 200),
    "RESET": frame(1, RESET, 0, U32.pack(2)),
    "DATA on a reset stream": frame(1, DATA, 0, b"a"),
    "END on a reset stream": frame(1, END_FRAME),
}


@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
def test_floods_of_small_frames(scene: Scene, reads: bool) -> None:
    """100,000 of each frame that costs its sender nothing, whether it reads the answers or not."""
    for name, one in FLOODS.items():
        with scene.bounded(f"100,000 {name}{'' if reads else ', unread'}"), scene.peer() as peer:
            peer.pour(ASK)
            if "reset" in name:
                peer.pour(frame(1, RESET, 0, U32.pack(2)))
            fresh_data = one * (MANY // SLICES)
            for number in range(SLICES):
                if not peer.pour(fresh_data, reads=reads, timeout_s=2):
                    break
                if not number % 5:
                    scene.good.ask()
            scene.settle()


def distinct(number: int, size: int, fields: int) -> tuple[tuple[bytes, bytes], ...]:
    """Fields that no other head has."""
    value = b"%08d" % number + b"v" * max(0, size // fields - 16)
    return (HOST, *((b"x-%d" % at, value) for at in range(fields - 1)))


@pytest.mark.parametrize(
    ("size", "fields", "count"), [(200, 2, 20000), (1800, 20, 5000), (4000, 100, 2500), (40_000, 10, 300)]
)
def test_heads_that_never_repeat(fresh: Scene, size: int, fields: int, count: int) -> None:
    """What is remembered of heads is bounded by bytes: heads made to fill memory do not."""
    data = b"".join(
        parts(number, opening(target=b"/smuggled%d" % number, fields=distinct(number, size, fields)))
        for number in range(1, count + 1)
    )
    with fresh.bounded(f"{count} heads of {size} bytes in {fields} fields"), fresh.peer(STRANGER) as peer:
        fresh.pour(peer, data)
    assert_untouched(fresh)


def test_paths_that_never_repeat(fresh: Scene) -> None:
    """The same for paths."""
    data = b"".join(request(number, target=b"/smuggled%d/" % number + b"a" * 1500) for number in range(1, 10_001))
    with fresh.bounded("10,000 paths of 1,500 bytes"), fresh.peer(STRANGER) as peer:
        fresh.pour(peer, data)
    assert_untouched(fresh)


def test_bodies_that_nobody_takes(fresh: Scene) -> None:
    """A thousand streams whose bodies come with their heads, to an application that never answers: 4 MB are held."""
    payload = opening(method=b"POST", target=b"/silence", body=b"a" * 16_000)
    with fresh.bounded("1,000 OPENs with bodies"), fresh.peer() as peer:
        fresh.pour(peer, opens(1000, flags=BODY, payload=payload))


@pytest.mark.parametrize(("fields", "size"), [(1, 4000), (12, 300), (1, 15_000), (90, 20)])
def test_large_heads_that_are_never_answered(fresh: Scene, fields: int, size: int) -> None:
    """A thousand streams with large heads, to an application that never answers, by who may call: what is held is bounded."""
    large = tuple((b"x-%d" % at, b"v" * size) for at in range(fields))
    payload = opening(method=b"POST", target=b"/silence", fields=(HOST, *large))
    with fresh.bounded(f"1,000 OPENs with {fields} fields of {size} bytes"), fresh.peer() as peer:
        for first in range(1, 1000, 100):
            peer.pour(opens(100, flags=0, payload=payload, first=first))
            fresh.settle()


def test_answers_that_are_not_read(fresh: Scene) -> None:
    """Answers of 16 MB on 30 streams, of which the peer reads nothing, or reads all but opens no window."""
    asked = b"".join(request(number, target=b"/big") for number in range(1, 31))
    with fresh.bounded("30 answers of 16 MB, unread"), fresh.peer() as peer, fresh.peer() as reader:
        peer.pour(asked + frame(0, WINDOW, 0, U32.pack(1 << 30)), reads=False)
        reader.pour(asked)
        for _ in range(20):
            fresh.good.ask()
            reader.answer(99, HEAD, timeout_s=0.02)
        fresh.settle()


def test_frames_that_never_end(fresh: Scene) -> None:
    """64 trunks with a frame, and 16 with a head, that come a byte at a time and never end, hold what they sent."""
    leaves, roots = [fresh.made.leaf(CALLER) for _ in range(4)], fresh.made.roots
    with fresh.bounded("64 slow frames, 16 slow heads"), contextlib.ExitStack() as stack:
        slow = [stack.enter_context(TrunkPeer(fresh.hop.port, leaves[number % 4], roots)) for number in range(80)]
        for number, peer in enumerate(slow):
            if number < 64:
                peer.pour(frame(1, OPEN, END, length=16376) + opening(target=TO)[:9] + b"a" * 10_000)
            else:
                peer.pour(frame(1, OPEN, MORE, opening(target=TO)) + frame(1, OPEN, MORE, FULL) * 2)
        for _ in range(10):
            for peer in slow[:64]:
                peer.pour(b"a")
            fresh.good.ask()
    assert_untouched(fresh)


def test_trunks_of_one_certificate_are_counted(fresh: Scene) -> None:
    """Of 60 trunks 32 are served; the others are told why by GOAWAY, in one line of the log; other certificates are not hurt."""
    leaf, roots = fresh.made.leaf(CALLER), fresh.made.roots
    with fresh.bounded("60 trunks of one certificate"), contextlib.ExitStack() as stack:
        peers = [stack.enter_context(TrunkPeer(fresh.hop.port, leaf, roots)) for _ in range(60)]
        for peer in peers:
            peer.pour(request(1, target=b"/well"))
        served = [peer for peer in peers if peer.answer(1, HEAD, timeout_s=1) is not None]
        refused = [peer.goodbye for peer in peers if peer not in served]
        assert len(served) == 32
        assert {said and said[0] for said in refused} == {Code.REFUSED}, refused
        assert all(said is not None and "holds 32 trunks already" in said[1] for said in refused)
        with fresh.peer() as other:
            other.pour(request(1, target=b"/well"))
            assert other.answer(1, HEAD) is not None
    lines = [line for line in fresh.hop.said().splitlines() if "turned away" in line]
    assert len(lines) == 1, lines


MOST_OF_ALL_BYTES = 112 << 20


def test_what_all_trunks_hold_together_is_bounded(fresh: Scene) -> None:
    """Two certificates with 32 trunks each, which fill each of them as far as one trunk may be filled: the heaviest are cut."""
    large = tuple((b"x-%d" % at, b"v" * 15_000) for at in range(3))
    payload = opening(method=b"POST", target=b"/silence", fields=(HOST, *large))
    data = b"".join(parts(number, payload, 0) + frame(number, DATA, 0, FULL) for number in range(1, 46))
    leaves, roots = [fresh.made.leaf(CALLER) for _ in range(2)], fresh.made.roots
    fresh.good.ask()
    fresh.hop.forget_peak()
    before = fresh.hop.rss_bytes
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(TrunkPeer(fresh.hop.port, leaves[number % 2], roots)) for number in range(64)]
        for number, peer in enumerate(peers):
            peer.pour(data)
            if not number % 8:
                fresh.good.ask()
        fresh.settle()
        fresh.good.ask()
        grown = fresh.hop.peak_rss_bytes - before
        print(f"64 full trunks: at most {grown / 1048576:.1f} MB more")  # noqa: T201 - the numbers are for who looks with -s
        assert "cut a trunk of spiffe://" in fresh.hop.said()
        assert grown <= MOST_OF_ALL_BYTES, f"{grown / 1048576:.1f} MB"
    fresh.good.ask()
    assert fresh.hop.is_alive


@pytest.fixture
def stuck(made: Mesh) -> Iterator[int]:
    """The port of an application that accepts nobody: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


WINDOWS = {
    "a stream's window": ASK + frame(1, DATA, 0, FULL) * 4 + frame(1, DATA, 0, b"a" * 33),
    "a TCP stream's window": frame(1, OPEN, 0, b"\x00") + frame(1, DATA, 0, FULL) * 4 + frame(1, DATA, 0, b"a" * 33),
    "the trunk's window": b"".join(
        request(number, 0, target=b"/silence") + frame(number, DATA, 0, FULL) * 4 for number in range(1, 18)
    ),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_kept(app: CountingApp, made: Mesh, stuck: int, name: str) -> None:
    """More bytes than a window allows end the trunk; they are never held."""
    hop = made.callee(stuck)
    with TrunkPeer(hop.port, made.leaf(CALLER), made.roots) as peer:
        peer.pour(WINDOWS[name])
        said = peer.read_until_closed()
        assert said is not None
        assert said[0] == Code.FLOW, said


@pytest.mark.parametrize("size", [1, 16])
@pytest.mark.parametrize("opened", [ASK[8:], b"\x00"], ids=["HTTP", "TCP"])
def test_a_body_in_crumbs_for_a_stuck_application(made: Mesh, stuck: int, opened: bytes, size: int) -> None:
    """A window's worth of bytes costs about a window, however small the pieces are that it came in."""
    hop = made.callee(stuck)
    leaf = made.leaf(CALLER)
    with TrunkPeer(hop.port, leaf, made.roots) as warm:
        warm.pour(frame(0, PING, 0, bytes(8)))
        assert warm.answer(0, PING) is not None
    hop.forget_peak()
    before = hop.rss_bytes
    with TrunkPeer(hop.port, leaf, made.roots) as peer:
        begun_s = time.monotonic()
        for number in range(1, 13):
            peer.pour(frame(number, OPEN, 0, opened))
            peer.pour(frame(number, DATA, 0, b"ab" * (size // 2) or b"a") * (65_000 // size))
        peer.pour(frame(0, PING, 0, b"the last"))
        assert peer.answer(0, PING, timeout_s=30) is not None
        took_s = time.monotonic() - begun_s
        grown = hop.peak_rss_bytes - before
    print(  # noqa: T201 - as above
        f"780 KB in crumbs of {size}, {'HTTP' if len(opened) > 1 else 'TCP'}: {grown / 1048576:.1f} MB more, {took_s:.1f} s"
    )
    assert grown <= MOST_BYTES, f"{grown / 1048576:.1f} MB"
    assert took_s < 4
