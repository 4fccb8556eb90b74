"""Rights that stay true while a call waits: asked again as soon as anything in the catalog has changed.

A blocking query is parked for minutes; a token may be deleted, its policy changed, a certificate revoked meanwhile. So
no handler holds rights: it asks, and what is asked is of now.
"""

from collections.abc import Callable

from catalog.access.authorizer import Access, Authorizer, Resource
from catalog.state.index import Topic
from catalog.state.state import State

Resolve = Callable[[], tuple[Authorizer, float, tuple[Topic, ...]]]
"""Gives the rights of now, when they end (seconds since the epoch, 0: never), and the topics that they rest on."""


class LiveAuthorizer:
    """The rights of one caller for as long as its call lasts (`catalog.access.authorizer.Authorizer`).

    Whatever `resolve` raises when the caller has no rights any more (a refusal) is raised by every question after that.
    """

    def __init__(self, state: State, resolve: Resolve, epoch: Callable[[], float]) -> None:
        self._state = state
        self._resolve = resolve
        self._epoch = epoch
        self._index = -1
        self._until_s = 0.0
        self._now: Authorizer
        self._topics: tuple[Topic, ...] = ()
        self.now()

    def now(self) -> Authorizer:
        """The rights of this moment; for many questions without an await between them."""
        if self._index != self._state.index or 0.0 < self._until_s <= self._epoch():
            self._now, self._until_s, self._topics = self._resolve()
            self._index = self._state.index
        return self._now

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        return self.now().allows(resource, name, access)

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:
        return self.now().allows_all(resource, prefix, access)

    @property
    def accessor(self) -> str:
        return self._now.accessor

    @property
    def topics(self) -> tuple[Topic, ...]:
        """What changes when the rights do."""
        return self._topics

    def __str__(self) -> str:
        return str(self._now)


def current(authorizer: Authorizer) -> Authorizer:
    """The rights of this moment, for many questions without an await between them."""
    return authorizer.now() if isinstance(authorizer, LiveAuthorizer) else authorizer


def topics_of(authorizer: Authorizer) -> tuple[Topic, ...]:
    """The topics that a caller's rights rest on; none for rights that nothing changes."""
    return authorizer.topics if isinstance(authorizer, LiveAuthorizer) else ()
