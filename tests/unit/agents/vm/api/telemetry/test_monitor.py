"""The log, read while it is written."""

import json
import logging
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from agents.vm.api.telemetry.monitor import MAX_LINES, LogTap, line_of

log = logging.getLogger("linkspan.test")


@pytest.fixture(autouse=True)
def quiet_root() -> Iterator[None]:
    """The root logger as it was."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.WARNING)
    yield
    root.setLevel(level)


class Shown(logging.Handler):
    """Somebody else's handler."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Reader:
    """Keeps what is written to it; `gate` holds it up."""

    def __init__(self) -> None:
        self.text = ""
        self.gate = trio.Event()

    async def write(self, data: bytes) -> None:
        await self.gate.wait()
        self.text += data.decode()


async def test_lines_of_the_level_and_above() -> None:
    """More is logged while someone asks for more, but only to them; afterwards all is as it was."""
    reader, shown = Reader(), Shown()
    root = logging.getLogger()
    root.addHandler(shown)
    reader.gate.set()
    try:
        async with trio.open_nursery() as reading:
            reading.start_soon(LogTap(logging.INFO, as_json=False).run, reader.write)
            await trio.testing.wait_all_tasks_blocked()
            log.debug("too fine")
            log.info("hello\nworld")
            await trio.to_thread.run_sync(log.error, "from a thread")
            await trio.testing.wait_all_tasks_blocked(0.01)
            reading.cancel_scope.cancel()
        assert "[INFO] linkspan.test: hello world\n" in reader.text
        assert "[ERR] linkspan.test: from a thread\n" in reader.text
        assert "too fine" not in reader.text
        assert shown.texts == ["from a thread"]
        assert (root.level, shown.level) == (logging.WARNING, logging.NOTSET)
    finally:
        root.removeHandler(shown)


async def test_a_slow_reader_loses_the_oldest_and_is_told(nursery: trio.Nursery) -> None:
    """It never holds up who logs, and never holds more than its bound."""
    reader = Reader()
    tap = LogTap(logging.WARNING, as_json=False)
    nursery.start_soon(tap.run, reader.write)
    await trio.testing.wait_all_tasks_blocked()
    log.warning("first")
    await trio.testing.wait_all_tasks_blocked(0.01)
    for number in range(MAX_LINES + 3):
        log.warning("line %d", number)
    reader.gate.set()
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert "3 lines were dropped" in reader.text
    assert "line 2\n" not in reader.text
    assert f"line {MAX_LINES + 2}\n" in reader.text
    nursery.cancel_scope.cancel()


def test_a_line_as_json() -> None:
    """Consul's keys."""
    record = logging.LogRecord("a.b", logging.WARNING, "f", 1, "%s is %d", ("x", 1), None)
    record.created = 0.5
    assert json.loads(line_of(record, as_json=True)) == {
        "@level": "warn",
        "@message": "x is 1",
        "@module": "a.b",
        "@timestamp": "1970-01-01T00:00:00.500Z",
    }
    assert line_of(record, as_json=False) == "1970-01-01T00:00:00.500Z [WARN] a.b: x is 1"
