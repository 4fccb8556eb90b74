"""Running a prepared query: rendered for the name, its instances picked, hidden from who may not see them, and ordered.

Instances come in random order, the nearest first if the query or the caller says near whom. Nothing healthy here means
the fail-over datacenters are next: no path leads to any, so they are passed over, as Consul does with those it does not
know.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from catalog.access.authorizer import Access, Authorizer, Resource
from catalog.api.query.store import QueryStore, Stored
from catalog.compile.queries.definition import Kept, Query
from catalog.compile.queries.pick import Candidate, candidates
from catalog.compile.queries.template import render
from catalog.state.state import State

AGENT = "_agent"
IP = "_ip"

Shuffle = Callable[[list[Any]], None]
"""Brings a list into a random order, in place."""


class Ask(msgspec.Struct, frozen=True):
    """How a query is run: `near` a node, at most `limit` (0: all), `connect`: what mesh callers dial."""

    near: str = ""
    limit: int = 0
    connect: bool = False


class Executed(msgspec.Struct, frozen=True):
    """What a query found, in order."""

    query: Query
    found: Sequence[Candidate]
    failovers: int = 0


class QueryRunner:
    """Runs queries. `own_node` is meant by `near=_agent`; `token_rights` gives a kept token's rights, None if it is gone."""

    def __init__(
        self,
        store: QueryStore,
        own_node: str,
        shuffle: Shuffle,
        token_rights: Callable[[str], Authorizer | None],
    ) -> None:
        self._store = store
        self._own_node = own_node
        self._shuffle = shuffle
        self._token_rights = token_rights

    def find(self, state: State, name: str) -> tuple[Stored, Query] | None:
        """The query for an id or a name, as it is kept and as it is for that name.

        Raises:
            InvalidQueryError: a template of it cannot be filled in.
        """
        stored = self._store.find(state, name)
        return None if stored is None else (stored, render(stored.query, name))

    def run(self, state: State, name: str, asker: Authorizer, ask: Ask) -> Executed | None:
        """What the query for `name` finds; None if there is no such query. The rights are its token's, else the asker's.

        Raises:
            InvalidQueryError: a template of it cannot be filled in.
        """
        known = self.find(state, name)
        if known is None:
            return None
        stored, query = known
        rights = self._rights(stored.kept, asker)
        found = [one for one in candidates(state, query.service, connect=ask.connect) if _may_see(rights, one)]
        self._shuffle(found)
        near = ask.near or query.service.near
        if near == AGENT:
            near = self._own_node
        if near and near != IP:
            found.sort(key=lambda one: one.node.node != near)
        return Executed(query, found[: ask.limit] if ask.limit else found)

    def _rights(self, kept: Kept, asker: Authorizer) -> Authorizer | None:
        return self._token_rights(kept.token_accessor) if kept.token_accessor else asker


def _may_see(rights: Authorizer | None, one: Candidate) -> bool:
    return (
        rights is not None
        and rights.allows(Resource.SERVICE, one.instance.service, Access.READ)
        and rights.allows(Resource.NODE, one.node.node, Access.READ)
    )
