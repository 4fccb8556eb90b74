"""The access log: lines, their time, and what happens when the sink is slow, full or gone."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from mesh.telemetry.access_log import LINE_COST_BYTES, MAX_WAITING_BYTES, AccessLog, encode_text


def line(path: str = "/a") -> bytes:
    """One line."""
    return b'{"path":%b}\n' % encode_text(path)


class Pipe:
    """A pipe as the sink."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK)
        self.log = AccessLog(self.writer)
        self.log.clock = lambda: 0.0
        self.log.wall_clock = lambda: 1_700_000_000.0

    def lines(self) -> list[dict[str, object]]:
        """What was written."""
        data = bytearray()
        while True:
            try:
                chunk = os.read(self.reader, 65536)
            except BlockingIOError:
                break
            if not chunk:
                break
            data += chunk
        return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """An open pipe."""
    pipe = Pipe()
    yield pipe
    for fd in (pipe.reader, pipe.writer):
        try:
            os.close(fd)
        except OSError:
            continue


async def test_a_time_of_the_ring_is_told_in_utc(pipe: Pipe) -> None:
    """The ring's clock is turned into wall-clock time, in milliseconds; a new flush looks at the clocks again."""
    await trio.lowlevel.checkpoint()
    assert pipe.log.stamp_at(5.25) == b"2023-11-14T22:13:25.250Z"
    assert pipe.log.stamp_at(5.999) == b"2023-11-14T22:13:25.999Z"
    assert (pipe.log.stamp, pipe.log.stamp_s) == (b"2023-11-14T22:13:25.999Z", 5.999)
    pipe.log.wall_clock = lambda: 1_700_000_060.0
    await pipe.log.flush()
    assert pipe.log.stamp_at(5.0) == b"2023-11-14T22:14:25.000Z"


async def test_a_clients_text_cannot_make_a_second_line(pipe: Pipe) -> None:
    """Line feeds, quotes and escapes are data in a JSON string."""
    evil = '/a\n{"time":"forged"}\r\n"\\\x1b[2J\x00\u2028'
    pipe.log.add(line(evil))
    await pipe.log.flush()
    [found] = pipe.lines()
    assert found["path"] == evil


async def test_many_lines_are_written_at_once_and_the_last_ones_at_the_end(pipe: Pipe) -> None:
    """Nobody calls flush: the task does, without waiting when many lines are there, and once more when it is cancelled."""
    sent = [f"/{number}" for number in range(1100)]
    async with trio.open_nursery() as nursery:
        await nursery.start(pipe.log.run)
        for path in sent:
            pipe.log.add(line(path))
        with trio.fail_after(0.2):
            await trio.lowlevel.wait_readable(pipe.reader)
        pipe.log.add(line("/last"))
        nursery.cancel_scope.cancel()
    assert [found["path"] for found in pipe.lines()] == [*sent, "/last"]


async def test_without_a_sink_nothing_is_written_and_little_is_kept() -> None:
    """No log wanted: lines go nowhere."""
    log = AccessLog(None)
    assert not log.is_wanted
    for _ in range(1000):
        log.add(line())
    await log.flush()
    assert log.dropped.value == 0


async def test_a_sink_that_does_not_keep_up_loses_lines_not_memory(tmp_path: Path) -> None:
    """What waits is bounded by its bytes; what does not fit is counted, and what was taken is written."""
    one = b'{"path":"%b"}\n' % (b"a" * 1000)
    most = MAX_WAITING_BYTES // (len(one) + LINE_COST_BYTES)
    with (tmp_path / "log").open("wb") as sink:
        log = AccessLog(sink.fileno())
        for _ in range(most + 100):
            log.add(one)
        assert log.dropped.value == 100
        await log.flush()
        log.add(one)
        await log.flush()
    assert log.dropped.value == 100
    assert (tmp_path / "log").read_bytes() == one * (most + 1)


async def test_a_sink_that_is_gone_loses_its_lines_and_never_the_process(pipe: Pipe) -> None:
    """A reader that went away (EPIPE) costs lines, which are counted."""
    os.close(pipe.reader)
    pipe.log.add(line())
    pipe.log.add(line())
    await pipe.log.flush()
    assert pipe.log.dropped.value == 2


async def test_a_full_pipe_is_waited_for_and_no_byte_is_lost(pipe: Pipe) -> None:
    """More than a pipe holds arrives whole, in the time its reader takes."""
    for number in range(300):
        pipe.log.add(line(f"/{number}/" + "x" * 1000))
    data = bytearray()

    async def read() -> None:
        while data.count(b"\n") < 300:
            await trio.lowlevel.wait_readable(pipe.reader)
            data.extend(os.read(pipe.reader, 65536))

    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.log.flush)
            nursery.start_soon(read)
    assert [json.loads(line)["path"].split("/")[1] for line in data.splitlines()] == [str(n) for n in range(300)]
