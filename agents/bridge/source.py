"""The source of a mirror, followed: blocking queries on the list of services and on each of them, on intentions too.

A fixed number of calls is parked, however many services there are: what does not fit is read when a check of it changes
(`health/state/any`, one more parked call) and in rounds. It adds and updates at once, and never lets go of an instance
by itself: what a reading lacks stays in the book until `confirm`. Before anything is believed after trouble the source
has to be the same catalog as before.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import msgspec
import trio

from agents.bridge.rules.book import Book
from agents.bridge.rules.intentions import IntentionRow, Pair, intention, mirrored_intention
from agents.bridge.rules.marks import Mark
from agents.bridge.rules.rows import ShapeError, Sighting, sighting
from agents.bridge.rules.trust import Trust, next_index
from agents.bridge.side import CONSISTENT, Reading, Side, SideError, each, health_path
from agents.bridge.target import SourceReplacedError
from mesh.sync.link.backoff import Backoff

CONSUL = "consul"
SIDECAR = "-sidecar-proxy"
INTENTIONS_PATH = "/v1/connect/intentions"
CONFIRM_WITHIN_S = 10.0
PAUSE_S = 0.05
"""Between two answers of one watch: what flaps is taken together."""
ROUND_S = 30.0
READERS = 8
RETRY_LAST_S = 5.0

_log = logging.getLogger("linkspan.bridge")


class Wanted(msgspec.Struct, frozen=True):
    """What is mirrored: services by glob (default: all but `consul`), connect proxies, intentions."""

    globs: tuple[str, ...] = ()
    connect: bool = False
    intentions: bool = True
    watches: int = 100
    hold_s: float = 120.0

    def service(self, name: str) -> bool:
        """Whether the service is mirrored; a sidecar's goes by the name it stands before."""
        if name == CONSUL:
            return CONSUL in self.globs
        names = {name, name.removesuffix(SIDECAR)} if self.connect else {name}
        return not self.globs or any(fnmatchcase(one, glob) for one in names for glob in self.globs)

    def intention(self, row: IntentionRow) -> bool:
        """Whether an intention is mirrored: it goes with its destination."""
        return not self.globs or any(fnmatchcase(row.destination, glob) for glob in self.globs)


class Source:
    """One source and what it said. `wake` is set whenever the book has changed."""

    def __init__(self, side: Side, mark: Mark, wanted: Wanted, uniform: Callable[[], float]) -> None:
        self.book = Book(mark, connect=wanted.connect)
        self.intentions: dict[Pair, IntentionRow] = {}
        self.missing_pairs: set[Pair] = set()
        self.intentions_confirmed = False
        self._intention_readings = 0
        self.changed: set[str] = set()
        self.wake = trio.Event()
        self.names: frozenset[str] = frozenset()
        self.trust = Trust(trio.current_time(), "the bridge has just started")
        self._side = side
        self._identity = mark.origin
        self._verified = False
        self._troubled = False
        self.heard = False
        self._verifying = trio.Lock()
        self._mark = mark
        self._wanted = wanted
        self._uniform = uniform
        self._watched: dict[str, trio.CancelScope] = {}
        self._more = trio.Event()

    @property
    def origin(self) -> str:
        """The source's datacenter."""
        return self._identity.datacenter

    @property
    def trusted(self) -> bool:
        """Whether the source may be asked about what it no longer shows."""
        return self.heard and self._verified and self.trust.believes(trio.current_time(), self._wanted.hold_s)

    @property
    def trusted_at_s(self) -> float:
        """When it may, if nothing else happens."""
        return self.trust.since_s + self._wanted.hold_s

    def used_up(self) -> None:
        """What was confirmed has been acted on."""
        self.book.doubt()
        self.intentions_confirmed = False

    def doubt(self, reason: str) -> None:
        """Something makes what the source does not show unbelievable for a while."""
        if not self._troubled:
            self._troubled = True
            _log.warning("%s; nothing is removed until %g s after this has ended", reason, self._wanted.hold_s)
        self.trust = Trust(trio.current_time(), reason)
        self._verified = False
        self.used_up()

    async def verify(self, *, anew: bool = False) -> None:
        """Make sure that the source is the catalog it was.

        Raises:
            SideError: it does not say.
            SourceReplacedError: it is another one.
        """
        async with self._verifying:
            if self._verified and not anew:
                return
            found = await self._side.identity()
            if found != self._identity:
                raise SourceReplacedError(
                    f"{self._side.name}: this was {self._identity} and is {found} now. Nothing was removed. If the "
                    f"source was replaced on purpose, run under another --name and remove what carries the old one"
                )
            self._verified = True
            if self._troubled:
                self._troubled = False
                _log.info("%s: it answers", self._side.name)

    async def read_all(self) -> None:
        """One reading of everything, nothing parked.

        Raises:
            SideError: the source does not answer.
        """
        await self.verify()
        self._set_names((await self._side.read("/v1/catalog/services")).body)
        await each(self.names, READERS, self._read_service)
        if self._wanted.intentions:
            self._note_intentions(await self._side.read(INTENTIONS_PATH))

    async def _read_service(self, name: str) -> None:
        self._note(name, await self._side.read(health_path(name)))

    async def run(self) -> None:
        """Follow the source until cancelled.

        Raises:
            SourceReplacedError: it became another catalog.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, "/v1/catalog/services", lambda reading: self._on_names(reading, nursery))
            nursery.start_soon(self._follow_rest)
            if self._wanted.intentions:
                nursery.start_soon(self._watch, INTENTIONS_PATH, self._note_intentions)

    async def _watch(self, path: str, use: Callable[[Reading], None]) -> None:
        """Follow one path with blocking queries, through any trouble."""
        index, backoff = 0, Backoff(self._uniform, last_s=RETRY_LAST_S)
        while True:
            try:
                reading = await self._side.read(path, index=index)
                index, back = next_index(index, reading.index)
                if back:
                    self.doubt(f"{self._side.name}: {path}: its index went back")
                await self.verify()
                use(reading)
                backoff.reset()
                await trio.sleep(PAUSE_S)
            except SideError as error:
                self.doubt(str(error))
                index = 0
                await trio.sleep(backoff.next_s())

    def _on_names(self, reading: Reading, nursery: trio.Nursery) -> None:
        self._set_names(reading.body)
        for name in sorted(self.names - self._watched.keys()):
            if len(self._watched) >= self._wanted.watches:
                break
            self._watched[name] = trio.CancelScope()
            nursery.start_soon(self._watch_service, name)
        self._more.set()
        self._tell(frozenset())

    def _set_names(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise SideError(f"{self._side.name}: catalog/services is no map")
        self.names = frozenset(name for name in body if self._wanted.service(name))
        self.heard = True

    async def _watch_service(self, name: str) -> None:
        with self._watched[name]:
            await self._watch(health_path(name), lambda reading: self._note(name, reading))
        del self._watched[name]

    async def _follow_rest(self) -> None:
        """Keep up with the services that have no watch of their own."""
        while True:
            self._more = trio.Event()
            if not (self.names - self._watched.keys()):
                await self._more.wait()
                continue
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_changed)
                nursery.start_soon(self._read_rounds)
                while self.names - self._watched.keys():
                    await self._more.wait()
                    self._more = trio.Event()
                nursery.cancel_scope.cancel()

    async def _read_each(self, names: Iterable[str]) -> None:
        await each(names, READERS, self._read_service)

    async def _read_changed(self) -> None:
        """Read those again of which a check changed."""
        known: dict[tuple[str, str], tuple[str, int]] = {}

        pending: set[str] = set()
        more = trio.Event()

        def use(reading: Reading) -> None:
            found = {
                (row["Node"], row["CheckID"]): (row["ServiceName"], row["ModifyIndex"]) for row in reading.body or ()
            }
            changed = {key for key in found.keys() | known.keys() if found.get(key) != known.get(key)}
            if known:
                for node, check in changed:
                    name = (found.get((node, check)) or known[node, check])[0]
                    pending.update({name} if name else self.book.services_on(node))
                more.set()
            known.clear()
            known.update(found)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, "/v1/health/state/any", use)
            while True:
                await more.wait()
                more = trio.Event()
                names, pending = pending & (self.names - self._watched.keys()), set()
                await self._retrying(partial(self._read_each, names))

    async def _read_rounds(self) -> None:
        while True:
            await self._retrying(partial(self._read_each, sorted(self.names - self._watched.keys())))
            with trio.move_on_after(ROUND_S):
                await self._more.wait()
                await trio.sleep(1)

    async def _retrying(self, work: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(self._uniform, last_s=RETRY_LAST_S)
        while True:
            try:
                await self.verify()
                await work()
                return
            except SideError as error:
                self.doubt(str(error))
                await trio.sleep(backoff.next_s())

    def _note(self, name: str, reading: Reading) -> None:
        self._tell(self.book.note(name, self._sightings(reading)))

    def _sightings(self, reading: Reading) -> list[Sighting]:
        try:
            return [sighting(row) for row in reading.body or ()]
        except ShapeError as error:
            raise SideError(f"{self._side.name}: {error}") from error

    def _note_intentions(self, reading: Reading) -> None:
        found = self._mirrored_intentions(reading)
        self._intention_readings += 1
        self.missing_pairs = set(self.intentions.keys() - found.keys())
        self.intentions = {**{pair: self.intentions[pair] for pair in self.missing_pairs}, **found}
        self._tell(frozenset())

    def _mirrored_intentions(self, reading: Reading) -> dict[Pair, IntentionRow]:
        try:
            rows = [intention(row) for row in reading.body or ()]
        except ShapeError as error:
            raise SideError(f"{self._side.name}: {error}") from error
        kept = (mirrored_intention(row, self._mark) for row in rows if row is not None and self._wanted.intention(row))
        return {row.pair: row for row in kept if row is not None}

    def _tell(self, nodes: frozenset[str]) -> None:
        self.changed |= nodes
        self.wake.set()

    async def confirm(self, services: frozenset[str], *, intentions: bool) -> None:
        """Ask the trusted source once more, consistently, about what it lacks, and believe that. Trouble is doubt.

        Raises:
            SourceReplacedError: it became another catalog.
        """
        readings: dict[str, list[Sighting]] = {}
        pairs: dict[Pair, IntentionRow] | None = None

        async def one(name: str) -> None:
            readings[name] = self._sightings(await self._read_whole(health_path(name)))

        since, intentions_since = self.book.readings, self._intention_readings
        services = frozenset(name for name in services if self.book.knows(name) or name not in self.names)
        try:
            with trio.fail_after(CONFIRM_WITHIN_S):
                await each(services, READERS, one)
                if intentions:
                    pairs = self._mirrored_intentions(await self._read_whole(INTENTIONS_PATH))
                await self.verify(anew=True)
        except trio.TooSlowError:
            self.doubt(f"{self._side.name}: it was too slow to confirm what is missing")
            return
        except SideError as error:
            self.doubt(str(error))
            return
        self._believe(readings, since)
        if pairs is not None and intentions_since == self._intention_readings:
            self.intentions, self.missing_pairs, self.intentions_confirmed = pairs, set(), True
            self._tell(frozenset())

    async def _read_whole(self, path: str) -> Reading:
        """A consistent reading by a token that may see everything there is."""
        reading = await self._side.read(path, CONSISTENT)
        if not reading.whole:
            raise SideError(f"{self._side.name}: {path}: the token may not see everything there")
        return reading

    def _believe(self, readings: dict[str, list[Sighting]], since: int) -> None:
        for name, found in readings.items():
            self._tell(self.book.confirm(name, found, since))
            if not found and name not in self.names and name in self._watched:
                self._watched[name].cancel()
