"""Connections to the application: kept when clean, never when not, and bounded."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesh.proxy.http.origin import KEEP_IDLE_S, OriginConnection, OriginPool
from mesh.transport.ring import Ring
from tests.fakes.mesh_world import wire

HEAD = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class User:
    """Sends a GET as soon as it has a connection, and notes what comes."""

    def __init__(self) -> None:
        self.origin: OriginConnection | None = None
        self.heard: list[Any] = []

    def on_origin(self, origin: OriginConnection) -> None:
        self.origin = origin
        origin.send(self, b"GET", HEAD, 0)

    def on_origin_unreachable(self, reason: str) -> None:
        self.heard.append(("unreachable", reason))

    def on_answer_whole(self, form: Any, body: Any) -> None:
        self.heard.append((form.status, bytes(body)))

    def on_answer_head(self, form: Any, *, end: bool) -> None:
        del end
        self.status = form.status

    def on_answer_data(self, data: Any, *, end: bool) -> None:
        assert end
        self.heard.append((self.status, bytes(data)))

    def on_answer_end(self, trailers: Any) -> None:
        self.heard.append(("end", trailers))

    def on_origin_broken(self, reason: str, *, is_stale: bool) -> None:
        self.heard.append(("broken", is_stale))

    def on_origin_room(self) -> None:
        """Not asked for."""


class Scene:
    """A pool whose dials end at `fars`."""

    def __init__(self, ring: Ring, nursery: trio.Nursery) -> None:
        self.ring = ring
        self.fars: list[Any] = []
        self.up = True
        self.pool = OriginPool(ring, nursery.start_soon, self.dial, max_idle=1, max_pending=2)

    async def dial(self) -> Any:
        await trio.lowlevel.checkpoint()
        if not self.up:
            raise ConnectionRefusedError(111, "Connection refused")
        near, far = wire()
        self.fars.append(far)
        return near

    async def ask(self, answer: bytes = OK, number: int = -1) -> User:
        user = User()
        self.pool.acquire(user)
        await wait_all_tasks_blocked()
        self.fars[number].send(answer)
        await wait_all_tasks_blocked()
        return user

    def close(self) -> None:
        self.pool.close()
        for far in self.fars:
            far.close()


@pytest.fixture
async def scene(nursery: trio.Nursery) -> Scene:
    """A pool on a running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return Scene(ring, nursery)


async def test_a_clean_connection_is_used_again(scene: Scene) -> None:
    """Two requests, one connection."""
    assert (await scene.ask()).heard == [(200, b"ok")]
    assert (await scene.ask()).heard == [(200, b"ok")]
    assert len(scene.fars) == 1
    scene.close()


async def test_bytes_that_nobody_asked_for_close_it(scene: Scene) -> None:
    """An answer too many is never taken for the next request's."""
    await scene.ask(OK + OK)
    user = await scene.ask()
    assert user.heard == [(200, b"ok")]
    assert len(scene.fars) == 2
    scene.close()


async def test_a_kept_connection_that_died_is_told_as_stale(scene: Scene) -> None:
    """Only one that was used before and brought not a byte."""
    await scene.ask()
    user = User()
    scene.pool.acquire(user)
    scene.fars[0].close()
    await wait_all_tasks_blocked()
    assert user.heard == [("broken", True)]
    fresh = User()
    scene.pool.acquire(fresh)
    await wait_all_tasks_blocked()
    scene.fars[1].close()
    await wait_all_tasks_blocked()
    assert fresh.heard == [("broken", False)]
    scene.close()


async def test_dials_and_idle_connections_are_bounded(scene: Scene) -> None:
    """Over the bound a user is refused at once; of two that come back one is kept, and not for long."""
    users = [User() for _ in range(3)]
    for user in users:
        scene.pool.acquire(user)
    assert [kind for user in users for kind, *_ in user.heard] == ["unreachable"]
    await wait_all_tasks_blocked()
    for far in scene.fars:
        far.send(OK)
    await wait_all_tasks_blocked()
    assert len(scene.ring) == 1
    scene.pool.on_sweep(scene.ring.time_s() + KEEP_IDLE_S + 1)
    assert len(scene.ring) == 0
    scene.close()


async def test_an_application_that_is_down_is_told(scene: Scene) -> None:
    """The user hears why, and the bound is free again."""
    scene.up = False
    for _ in range(3):
        user = User()
        scene.pool.acquire(user)
        await wait_all_tasks_blocked()
        assert user.heard == [("unreachable", "Connection refused")]
    scene.close()


async def test_connections_with_a_fault_are_cut(scene: Scene) -> None:
    """Their users are told the fault, never that they may ask again as for a stale one; the others go on."""
    await scene.ask()
    reused, other = User(), User()
    scene.pool.acquire(reused)
    scene.pool.acquire(other)
    await wait_all_tasks_blocked()
    [bad] = [origin.sock for origin in scene.pool._all.values() if origin.user is reused]
    assert scene.pool.cut(lambda sock: "revoked" if sock is bad else "") == ["revoked"]
    assert reused.heard == [("broken", False)]
    assert other.heard == []
    scene.fars[1].send(OK)
    await wait_all_tasks_blocked()
    assert other.heard == [(200, b"ok")]
    scene.close()
