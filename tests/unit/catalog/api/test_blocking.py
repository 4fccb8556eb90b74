"""Blocking reads under virtual time: the whole wait, its stretch, and what sleeps on."""

from typing import Any

import pytest
import trio

from catalog.api.blocking import Found, Parking, answer_read, jitter_s, settle
from catalog.api.http.errors import RefusedError
from catalog.state.changes import Deregister, Register
from catalog.state.records import Node
from catalog.state.state import State
from tests.fakes.catalog_calls import make_call, open_api


def nodes(state: State) -> Found:
    return Found([node.node for node in state.nodes()], (("nodes",),))


def register(name: str) -> Register:
    return Register(Node(name, "192.0.2.1"))


@pytest.mark.parametrize(
    ("query", "least_s", "most_s"), [("wait=10s", 10, 10.625), ("", 300, 318.75), ("wait=24h", 600, 637.5)]
)
async def test_a_wait_is_stretched_by_up_to_a_sixteenth(
    autojump_clock: Any, query: str, least_s: float, most_s: float
) -> None:
    async with open_api() as api:
        start_s = trio.current_time()
        await settle(api.parking, make_call(query=f"index=9&{query}"), nodes)
        assert least_s <= trio.current_time() - start_s <= most_s


async def test_a_streamed_wait_is_not_stretched(autojump_clock: Any) -> None:
    async with open_api() as api:
        start_s = trio.current_time()
        await settle(api.parking, make_call(query="index=9&wait=160s"), nodes, streaming=True)
        assert trio.current_time() - start_s == pytest.approx(160)


def test_the_stretch_is_spread() -> None:
    stretches = {jitter_s(16.0) for _ in range(100)}
    assert len(stretches) > 50
    assert all(0 <= stretch <= 1 for stretch in stretches)


async def after(seconds: float, api: Any, *changes: Any) -> None:
    await trio.sleep(seconds)
    for change in changes:
        await api.submit(change)


async def test_a_change_wakes_at_once(autojump_clock: Any) -> None:
    async with open_api() as api, trio.open_nursery() as nursery:
        nursery.start_soon(after, 7, api, register("n1"))
        found = await settle(api.parking, make_call(query="index=1&wait=60s"), nodes)
        assert found.value == ["n1"]
        assert trio.current_time() == pytest.approx(7, abs=0.1)


async def test_a_quiet_read_sleeps_on_the_same_result(autojump_clock: Any) -> None:
    """Its topics move, its result does not: it sleeps to the end of its wait, and then tells the present index."""

    def count(state: State) -> Found:
        return Found(bool(state.nodes()), (("nodes",),))

    async with open_api() as api, trio.open_nursery() as nursery:
        await api.submit(register("n0"))
        index = api.parking.state.index
        for second in range(1, 5):
            nursery.start_soon(after, second, api, register(f"n{second}"))
        answer = await answer_read(api.parking, make_call(query=f"index={index}&wait=20s"), count, quiet=True)
        assert trio.current_time() >= 20
        assert dict(answer.headers)[b"x-consul-index"] == b"%d" % (index + 4)


async def test_a_quiet_read_wakes_on_another_result(autojump_clock: Any) -> None:
    async with open_api() as api, trio.open_nursery() as nursery:
        await api.submit(register("n0"))
        index = api.parking.state.index
        nursery.start_soon(after, 3, api, register("n1"))
        found = await settle(api.parking, make_call(query=f"index={index}&wait=60s"), nodes, quiet=True)
        assert found.value == ["n0", "n1"]
        assert trio.current_time() < 4


async def test_missing_is_404_with_an_index() -> None:
    async with open_api() as api:
        read = lambda _state: Found(None, (("node", "n1"),), missing="gone")  # noqa: E731 - one line
        answer = await answer_read(api.parking, make_call(), read)
    assert (answer.status, answer.body) == (404, b"gone")
    assert (b"x-consul-index", b"1") in answer.headers


async def test_an_index_that_is_ahead_waits_its_time(autojump_clock: Any) -> None:
    """A client of another catalog's past: it is told the present index, not spun."""
    async with open_api() as api:
        answer = await answer_read(api.parking, make_call(query="index=1000&wait=5s"), nodes)
        assert trio.current_time() >= 5
    assert dict(answer.headers)[b"x-consul-index"] == b"1"


async def test_a_stop_sends_everybody_home(autojump_clock: Any) -> None:
    """And whoever comes later is not parked."""
    async with open_api() as api, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(settle, api.parking, make_call(query="index=9&wait=600s"), nodes)
        await trio.sleep(1)
        assert len(api.parking) == 10
        api.parking.stop()
        await settle(api.parking, make_call(query="index=9&wait=600s"), nodes)
        assert trio.current_time() < 2
    assert len(api.parking) == 0


async def test_a_cancelled_wait_leaves_nothing(autojump_clock: Any) -> None:
    async with open_api() as api:
        with trio.move_on_after(1):
            await api.parking.wait((("nodes",),), 9, 600)
        assert len(api.parking) == 0


@pytest.mark.parametrize("expression", ["==", "a = b", "Node is"])
async def test_a_bad_filter_is_500(expression: str) -> None:
    """Consul's status for it (measured), whatever there is to filter."""
    async with open_api() as api:
        call = make_call(query=f"filter={expression}".replace(" ", "%20"))
        with pytest.raises(RefusedError, match="boolean expression"):
            await answer_read(api.parking, call, nodes)


async def test_gone_and_come_back_in_one_sleep(autojump_clock: Any) -> None:
    """Indexes never go backwards: a reader that slept through both wakes."""
    async with open_api() as api, trio.open_nursery() as nursery:
        await api.submit(register("n1"))
        index = api.parking.state.index
        nursery.start_soon(after, 2, api, Deregister("n1"), register("n1"))
        found = await settle(api.parking, make_call(query=f"index={index}&wait=60s"), nodes)
        assert found.value in (["n1"], [])
        assert trio.current_time() < 3


def test_nobody_is_parked_at_first() -> None:
    assert len(Parking(None)) == 0  # type: ignore[arg-type]  # nothing is asked of the engine
