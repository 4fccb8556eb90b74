"""DNS under attack: nonsense, frames of 65,535 bytes, slow and silent TCP; names are answered meanwhile and after."""

import random
import socket
import struct
import time
from contextlib import ExitStack, closing, suppress

import pytest

from tests.system.bad_input.target import Target

pytestmark = pytest.mark.slow

QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06consul\x00\x00\x06\x00\x01"


def answers(target: Target) -> bool:
    """Whether a question for the domain's SOA is answered, over UDP and over TCP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(5)
        for _ in range(3):  # a flood before may have filled the socket's buffer
            line.sendto(QUESTION, ("127.0.0.1", target.place.dns))
            with suppress(TimeoutError):
                if line.recv(4096)[:2] == QUESTION[:2]:
                    break
        else:
            return False
    with closing(socket.create_connection(("127.0.0.1", target.place.dns), 5)) as stream:
        stream.sendall(struct.pack("!H", len(QUESTION)) + QUESTION)
        return stream.recv(4096)[2:4] == QUESTION[:2]


def datagrams() -> list[bytes]:
    """Nonsense of every kind: random bytes, cut questions, pointers in circles, counts that lie, labels without end."""
    chance = random.Random(4)
    made = [chance.randbytes(chance.randrange(0, 1400)) for _ in range(2000)]
    made += [QUESTION[:length] for length in range(len(QUESTION))]
    made += [QUESTION[:4] + chance.randbytes(8) + QUESTION[12:] for _ in range(500)]
    head = QUESTION[:12]
    made += [head + b"\xc0\x0c\x00\x06\x00\x01", head + b"\xc0\x0e\xc0\x0c\x00\x06\x00\x01"]
    made += [head + b"\x3f" + b"a" * 63 + b"\xc0\x0c\x00\x06\x00\x01", head + b"\x01a" * 600 + b"\x00\x00\x06\x00\x01"]
    made += [head + bytes([40 + byte]) + b"\x00" * 50 for byte in range(100)]
    made += [b"\x00" * 60_000, b"\xff" * 60_000]
    return made


def test_a_flood_of_nonsense(target: Target) -> None:
    """6,000 datagrams that are no questions."""
    with target.keeps_its_own(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for raw in datagrams() * 2:
            with suppress(ConnectionRefusedError, BlockingIOError):
                line.sendto(raw, ("127.0.0.1", target.place.dns))
        assert answers(target)


def test_a_flood_of_names_that_are_not_there(target: Target) -> None:
    """20,000 different names leave no memory behind: no cache is without bound."""
    with target.keeps_its_own(growth_kb=24 * 1024), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.setblocking(False)  # noqa: FBT003 - its only argument
        for number in range(20_000):
            label = b"x%06d" % number
            name = bytes([len(label)]) + label + b"\x07service\x06consul\x00"
            with suppress(BlockingIOError, ConnectionRefusedError):
                line.sendto(QUESTION[:12] + name + b"\x00\x01\x00\x01", ("127.0.0.1", target.place.dns))
            with suppress(BlockingIOError, ConnectionRefusedError):
                line.recv(4096)
        assert answers(target)


def test_large_and_slow_frames_over_tcp(target: Target) -> None:
    """Frames of 65,535 bytes of nothing, frames that stop half-way, a length and then silence: others are answered."""
    where = ("127.0.0.1", target.place.dns)
    with target.keeps_its_own(growth_kb=64 * 1024, within_s=60), ExitStack() as opened:
        for number in range(300):
            with suppress(OSError):  # more than it holds of one address it refuses
                line = opened.enter_context(closing(socket.create_connection(where, 5)))
                whole = struct.pack("!H", 65_535) + b"\xff" * 65_535
                line.sendall((whole, whole[:30_000], whole[:1], struct.pack("!H", 3) + b"abc")[number % 4])
        assert target.ask("GET", "/v1/status/leader").seconds < 5
    assert answers(target)


def test_many_questions_on_one_connection_unread(target: Target) -> None:
    """Who asks without reading is not read from for ever, and nobody waits for him."""
    framed = struct.pack("!H", len(QUESTION)) + QUESTION
    with target.keeps_its_own(within_s=60):
        with closing(socket.create_connection(("127.0.0.1", target.place.dns), 5)) as line:
            line.setblocking(False)  # noqa: FBT003 - its only argument
            end_s, sent = time.monotonic() + 2, 0
            while time.monotonic() < end_s:
                with suppress(OSError):
                    sent += line.send(framed * 1000)
            assert answers(target)
        assert sent < 64 * 1024 * 1024
