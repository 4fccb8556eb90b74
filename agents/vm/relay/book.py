"""The book: what the proxies of this host follow, and what the catalog last said of it. Pure.

A resource once held is served until the catalog says that it is gone. A name that nobody asked for in a while is dropped.
"""

from collections.abc import Iterable

import msgspec

from mesh.sync.follow import is_resource_name
from mesh.wire.sync import MAX_WANTS, Refusal, Resource, SyncRequest, SyncResponse, Want

ALWAYS = ("roots", "mesh")
FORGET_AFTER_S = 900.0
MAX_REFUSALS = 64


class TooManyWantsError(ValueError):
    """The proxies of this host follow more resources together than one agent may."""


class ImpossibleWantError(ValueError):
    """A proxy follows what there cannot be. Asked for, it would cost all proxies of the host their answers."""


class Book:
    """Resources by name. `index` is the catalog's at its last answer."""

    def __init__(self) -> None:
        self._wanted_s: dict[str, float] = {}
        self._held: dict[str, Resource] = {}
        self._answered: set[str] = set()
        self._refused: dict[tuple[str, str], Refusal] = {}
        self.index = 0

    def restore(self, resources: Iterable[Resource], now_s: float) -> None:
        """Begin with what was held before a restart."""
        for resource in resources:
            self._held[resource.name] = resource
            self._wanted_s.setdefault(resource.name, now_s)

    def resources(self) -> tuple[Resource, ...]:
        """Everything held, to be kept on disk."""
        return tuple(self._held.values())

    def held(self, name: str) -> Resource | None:
        """One resource, if it is held."""
        return self._held.get(name)

    def want(self, request: SyncRequest, now_s: float) -> bool:
        """Note what a proxy follows and refuses; returns whether the catalog must be asked for something new.

        Raises:
            TooManyWantsError: it would be too much with what the others follow.
        """
        names = {want.name for want in request.wants}
        new = names - self._wanted_s.keys()
        if len(self._wanted_s) + len(new) + len(ALWAYS) > MAX_WANTS:
            self.forget(now_s, after_s=0.0, but=names)
            new = names - self._wanted_s.keys()
            if len(self._wanted_s) + len(new) + len(ALWAYS) > MAX_WANTS:
                raise TooManyWantsError(f"the proxies of this host follow more than {MAX_WANTS} resources together")
        for name in names:
            self._wanted_s[name] = now_s
        fresh = {(one.name, one.version): one for one in request.refused} if len(self._refused) < MAX_REFUSALS else {}
        self._refused |= fresh
        return bool(new or fresh)

    def forget(self, now_s: float, *, after_s: float = FORGET_AFTER_S, but: Iterable[str] = ()) -> None:
        """Drop what no proxy asked for within `after_s`."""
        keep = set(but)
        for name, wanted_s in list(self._wanted_s.items()):
            if now_s - wanted_s > after_s and name not in keep:
                del self._wanted_s[name]
                if name not in ALWAYS:
                    self._held.pop(name, None)
                    self._answered.discard(name)

    def request(self, wait_s: float) -> SyncRequest:
        """The next call to the catalog; it waits only if every name was answered and nothing is refused."""
        names = tuple(dict.fromkeys((*ALWAYS, *self._wanted_s)))
        wants = tuple(Want(name, self._version(name)) for name in names)
        is_waiting = self._answered.issuperset(names) and not self._refused
        return SyncRequest(wants, wait_s if is_waiting else 0.0, refused=tuple(self._refused.values()))

    def take(self, request: SyncRequest, response: SyncResponse) -> set[str]:
        """Take the catalog's answer to `request`; returns the names on which there is news for the proxies."""
        asked = {want.name for want in request.wants}
        news = asked - self._answered
        for resource in response.changed:
            if resource.name in asked:
                self._held[resource.name] = resource
                news.add(resource.name)
        for name in asked.intersection(response.removed) - set(ALWAYS):
            if self._held.pop(name, None) is not None:
                news.add(name)
        self._answered |= asked
        for refusal in request.refused:
            self._refused.pop((refusal.name, refusal.version), None)
        self.index = max(self.index, response.index)
        return news

    def answer(self, request: SyncRequest, *, partial: bool = False) -> SyncResponse | None:
        """What a proxy is to be told now; None if there is nothing, or if the catalog was not yet asked for all of it.

        `partial` answers with what there is, for when the catalog is away.
        """
        if not partial and any(not self.is_known(want.name) for want in request.wants):
            return None
        changed = tuple(
            resource
            for want in request.wants
            if (resource := self._held.get(want.name)) is not None and resource.version != want.version
        )
        removed = tuple(
            want.name
            for want in request.wants
            if want.version and want.name in self._answered and want.name not in self._held
        )
        if not changed and not removed and not partial:
            return None
        return SyncResponse(self.index, changed, removed)

    def is_known(self, name: str) -> bool:
        """Whether the catalog said anything about a name, now or before a restart."""
        return name in self._answered or name in self._held

    def _version(self, name: str) -> str:
        held = self._held.get(name)
        return held.version if held is not None else ""


def decode_request(body: bytes) -> SyncRequest:
    """A proxy's request.

    Raises:
        msgspec.MsgspecError: it is none.
        TooManyWantsError: it follows more than one call may.
        ImpossibleWantError: it follows what there cannot be.
    """
    request = msgspec.json.decode(body, type=SyncRequest)
    if len(request.wants) > MAX_WANTS:
        raise TooManyWantsError(f"one call may follow at most {MAX_WANTS} resources")
    for want in request.wants:
        if not is_resource_name(want.name):
            raise ImpossibleWantError(
                f"there is no resource {want.name[:120]!r}: check the names of service and upstreams"
            )
    return request
