"""The sync client: calls to an agent or a catalog over kept connections, several addresses tried in turn.

It holds no snapshot and decides nothing: `mesh.sync.follow` does. Requests are safe to repeat when they name their result
(sync, GET, PUT, DELETE): those are sent once more when a kept connection turns out to be dead.
"""

from collections.abc import Sequence
from typing import Self, TypeVar

import msgspec
import trio

from mesh.sync.link.dial import Dialler
from mesh.sync.link.errors import BadAnswerError, RefusedError, UnreachableError
from mesh.sync.link.http import ConnectionBrokenError, Headers, HttpAnswer, HttpConnection
from mesh.wire.sync import LEAF_PATH, MAX_BODY_BYTES, SYNC_PATH, LeafRequest, LeafResponse, SyncRequest, SyncResponse

CALL_SLACK_S = 15.0
"""How much longer than its wait a call may take."""
MAX_IDLE = 4
_JSON: Headers = (("content-type", "application/json"), ("accept", "application/json"))
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})

T = TypeVar("T")


class _Kept(msgspec.Struct, frozen=True):
    dialler: Dialler
    generation: int
    connection: HttpConnection

    @property
    def is_usable(self) -> bool:
        return self.generation == self.dialler.generation and self.connection.is_reusable


class SyncClient:
    """Calls one agent or one catalog, reachable at any of `diallers`; at most `max_connections` at once, others wait."""

    def __init__(self, diallers: Sequence[Dialler], *, max_connections: int = 16) -> None:
        if not diallers:
            raise ValueError("a sync client needs at least one address")
        self._diallers = list(diallers)
        self._idle: list[_Kept] = []
        self._room = trio.Semaphore(max_connections)

    async def call(self, request: SyncRequest) -> SyncResponse:
        """One sync call; returns when something changed or `request.wait_s` has passed.

        Raises:
            SyncError: unreachable, refused or a bad answer.
        """
        answer = await self._post(
            SYNC_PATH, msgspec.json.encode(request), timeout_s=request.wait_s * 1.1 + CALL_SLACK_S
        )
        return _decode(answer, SyncResponse)

    async def leaf(self, csr_pem: str) -> LeafResponse:
        """A certificate for the request made by `mesh.identity.request`.

        Raises:
            SyncError: unreachable, refused or a bad answer.
        """
        answer = await self._post(LEAF_PATH, msgspec.json.encode(LeafRequest(csr_pem)), timeout_s=CALL_SLACK_S)
        return _decode(answer, LeafResponse)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Headers = (),
        *,
        timeout_s: float = CALL_SLACK_S,
        repeatable: bool | None = None,
    ) -> HttpAnswer:
        """Any request; whatever its status, the answer is returned. `path` holds the query too.

        Raises:
            SyncError: unreachable, a bad answer, or not sendable.
        """
        repeatable = method in _REPEATABLE if repeatable is None else repeatable
        kept: _Kept | None = None
        with trio.move_on_after(timeout_s) as scope:
            async with self._room:
                kept = await self._take_idle()
                while kept is not None:
                    try:
                        return await self._exchange(kept, method, path, headers, body)
                    except ConnectionBrokenError as error:
                        if not repeatable or error.answered:
                            raise UnreachableError(f"{kept.dialler.name}: {error}") from error
                    kept = await self._take_idle()
                kept = await self._dial()
                try:
                    return await self._exchange(kept, method, path, headers, body)
                except ConnectionBrokenError as error:
                    raise UnreachableError(f"{kept.dialler.name}: {error}") from error
        assert scope.cancelled_caught
        silent = kept.dialler if kept is not None else self._diallers[-1]  # the one that was dialled last stands last
        self._try_last(silent)
        raise UnreachableError(f"{silent.name}: no answer to {method} {path.partition('?')[0]} within {timeout_s:g} s")

    async def aclose(self) -> None:
        """Close the kept connections, also when cancelled."""
        with trio.CancelScope(shield=True):
            while self._idle:
                await self._idle.pop().connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _post(self, path: str, body: bytes, *, timeout_s: float) -> HttpAnswer:
        answer = await self.request("POST", path, body, _JSON, timeout_s=timeout_s, repeatable=True)
        if answer.status != 200:
            raise RefusedError(answer.status, answer.first_line)
        return answer

    async def _exchange(self, kept: _Kept, method: str, path: str, headers: Headers, body: bytes) -> HttpAnswer:
        try:
            answer = await kept.connection.exchange(method, path, headers, body, max_body_bytes=MAX_BODY_BYTES)
        except BaseException:
            await kept.connection.aclose()
            raise
        if len(self._idle) < MAX_IDLE and kept.is_usable:
            self._idle.append(kept)
        else:
            await kept.connection.aclose()
        return answer

    async def _take_idle(self) -> _Kept | None:
        """The connection used last that is still good; the others that are not are dropped."""
        while self._idle:
            kept = self._idle.pop()
            if kept.is_usable:
                return kept
            await kept.connection.aclose()
        return None

    async def _dial(self) -> _Kept:
        """A new connection to the first address that answers; it is tried first the next time."""
        failures: list[str] = []
        for dialler in tuple(self._diallers):
            generation = dialler.generation
            self._try_last(dialler)  # also if whoever calls gives up while it hangs
            try:
                stream = await dialler.dial()
            except UnreachableError as error:
                failures.append(str(error))
                continue
            self._diallers.remove(dialler)
            self._diallers.insert(0, dialler)
            return _Kept(dialler, generation, HttpConnection(stream, dialler.host))
        raise UnreachableError("; ".join(failures))

    def _try_last(self, dialler: Dialler) -> None:
        """The next call dials the others first: an address that swallows packets must not use up the time of every call."""
        self._diallers.remove(dialler)
        self._diallers.append(dialler)


def _decode(answer: HttpAnswer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise BadAnswerError(f"the answer is no {kind.__name__}: {error}") from error
