"""A lock end to end: two contenders, one of which dies holding it, on virtual time and through the whole app."""

import trio
from trio.testing import MockClock

from tests.fakes.app.in_process import CatalogApp, open_app


class Contender:
    """Takes the lock as Consul's guide says: a session with a time to live, acquire, and wait on the key if it is taken."""

    def __init__(self, app: CatalogApp, name: str) -> None:
        self._app = app
        self.name = name
        self.held_at_s: list[float] = []

    async def run(self) -> None:
        """Hold the lock from when it can be had until cancelled, renewing all the while."""
        body = {"Name": self.name, "TTL": "10s", "LockDelay": "5s"}
        session = (await self._app.put("/v1/session/create", body)).json()["ID"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew, session)
            while not (await self._app.put(f"/v1/kv/leader?acquire={session}", self.name.encode())).json():
                answer = await self._app.get("/v1/kv/leader")
                if "Session" in answer.json()[0]:
                    await self._app.get(f"/v1/kv/leader?index={answer.index}&wait=60s")
                else:  # free, but within its lock-delay
                    await trio.sleep(1)
            self.held_at_s.append(trio.current_time())

    async def _renew(self, session: str) -> None:
        while True:
            await trio.sleep(5)
            assert (await self._app.put(f"/v1/session/renew/{session}")).status == 200


async def test_the_second_contender_takes_over_after_the_first_one_died(autojump_clock: MockClock) -> None:
    """Not while the first lives; then after its time to live (twice, at most 20 s) and the lock-delay of 5 s, and not before."""
    del autojump_clock
    async with open_app() as app, trio.open_nursery() as nursery:
        first, second = Contender(app, "first"), Contender(app, "second")
        life = trio.CancelScope()

        async def until_killed() -> None:
            with life:
                await first.run()

        nursery.start_soon(until_killed)
        await trio.sleep(1)
        nursery.start_soon(second.run)
        await trio.sleep(100)
        assert (len(first.held_at_s), second.held_at_s) == (1, [])
        assert (await app.get("/v1/kv/leader?raw")).body == b"first"
        died_s = trio.current_time()
        life.cancel()
        await trio.sleep(60)
        assert len(second.held_at_s) == 1
        waited_s = second.held_at_s[0] - died_s
        assert 10 + 5 <= waited_s <= 20 + 5 + 2
        assert (await app.get("/v1/kv/leader")).json()[0]["LockIndex"] == 2
        assert (await app.get("/v1/kv/leader?raw")).body == b"second"
        nursery.cancel_scope.cancel()


async def test_a_lock_that_is_given_up_passes_on_at_once(autojump_clock: MockClock) -> None:
    """A release has no delay; who waits on the key wakes by it."""
    del autojump_clock
    async with open_app() as app, trio.open_nursery() as nursery:
        session = (await app.put("/v1/session/create", {"TTL": "1000s"})).json()["ID"]
        assert (await app.put(f"/v1/kv/leader?acquire={session}", b"me")).json() is True
        second = Contender(app, "second")
        nursery.start_soon(second.run)
        await trio.sleep(30)
        assert (await app.put(f"/v1/kv/leader?release={session}", b"")).json() is True
        await trio.sleep(0.5)
        assert len(second.held_at_s) == 1
        nursery.cancel_scope.cancel()


async def test_two_semaphore_holders_by_transactions(autojump_clock: MockClock) -> None:
    """Consul's semaphore guide: of three contenders with a limit of two, one stays out, whatever the order."""
    del autojump_clock
    async with open_app() as app:
        won = []
        for name in ("a", "b", "c"):
            count = await app.get("/v1/kv/slots?raw")
            index = (await app.get("/v1/kv/slots")).json()[0]["ModifyIndex"] if count.status == 200 else 0
            taken = int(count.body or b"0")
            if taken < 2:
                answer = await app.put(
                    "/v1/txn",
                    [
                        {"KV": {"Verb": "cas", "Key": "slots", "Value": ["MQ==", "Mg=="][taken], "Index": index}},
                        {"KV": {"Verb": "set", "Key": f"slot/{name}"}},
                    ],
                )
                assert answer.status == 200
                won.append(name)
        assert won == ["a", "b"]
        stale = {"KV": {"Verb": "cas", "Key": "slots", "Value": "MQ==", "Index": 0}}
        assert (await app.put("/v1/txn", [stale])).status == 409
