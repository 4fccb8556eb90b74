"""Many at once on one key: locks are held by one, counters lose nothing, whatever shares a commit."""

from typing import Any

import pytest
import trio

from tests.fakes.app.in_process import CatalogApp, open_app

CONTENDERS = 40


async def at_once(work: Any, count: int = CONTENDERS) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(work, number)


async def sessions(app: CatalogApp) -> list[str]:
    return [(await app.put("/v1/session/create", {"LockDelay": "0s"})).json()["ID"] for _ in range(CONTENDERS)]


async def test_of_many_that_acquire_at_once_one_gets_it() -> None:
    """And after it released, again one."""
    async with open_app() as app:
        ids = await sessions(app)
        for _ in range(5):
            won: list[str] = []

            async def acquire(number: int, won: list[str] = won) -> None:
                if (await app.put(f"/v1/kv/lock?acquire={ids[number]}", b"x")).json():
                    won.append(ids[number])

            await at_once(acquire)
            assert len(won) == 1
            assert (await app.get("/v1/kv/lock")).json()[0]["Session"] == won[0]
            assert (await app.put(f"/v1/kv/lock?release={won[0]}")).json() is True


@pytest.mark.parametrize("how", ["cas", "txn"])
async def test_a_counter_loses_nothing(how: str) -> None:
    """Each reads, adds one, compares and sets, and tries again if somebody else was first."""
    async with open_app() as app:
        await app.put("/v1/kv/count", b"0")
        tries = 0

        async def write(value: bytes, index: int) -> bool:
            if how == "cas":
                return bool((await app.put(f"/v1/kv/count?cas={index}", value)).json())
            operation = {"Verb": "cas", "Key": "count", "Value": value, "Index": index}
            return (await app.put("/v1/txn", [{"KV": operation}])).status == 200

        async def add_one(_: int) -> None:
            nonlocal tries
            done = False
            while not done:
                tries += 1
                row = (await app.get("/v1/kv/count")).json()[0]
                value = int((await app.get("/v1/kv/count?raw")).body)
                done = await write(b"%d" % (value + 1), row["ModifyIndex"])

        await at_once(add_one)
        assert (await app.get("/v1/kv/count?raw")).body == b"%d" % CONTENDERS
        assert tries > CONTENDERS, "they did not contend"


async def test_a_lock_and_the_end_of_its_session_in_one_commit() -> None:
    """Sessions that are destroyed while they acquire: whoever is left holding is there, and nobody else."""
    async with open_app() as app:
        ids = await sessions(app)

        async def acquire_or_destroy(number: int) -> None:
            session = ids[number // 2]
            path = f"/v1/session/destroy/{session}" if number % 2 else f"/v1/kv/k{number % 3}?acquire={session}"
            assert (await app.put(path, b"x")).status in {200, 500}

        await at_once(acquire_or_destroy)
        alive = {session["ID"] for session in (await app.get("/v1/session/list")).json()}
        held = {row.get("Session") for row in (await app.get("/v1/kv/?recurse")).json()}
        assert held - {None} <= alive
