"""`/v1/query*`: write, read, run and explain prepared queries.

Statuses and texts are Consul's: a query that breaks a rule is 500, one that is not there 404. A query without a name is
opened by its id alone, which is as good as a secret: it is listed to nobody but who may do everything.
"""

import uuid

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import JSON, Answer, Meta, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, NotFoundError, PermissionDeniedError, RefusedError
from catalog.api.query.made import make_runner
from catalog.api.query.runner import Ask
from catalog.api.query.store import TABLE, TOPIC, QueryStore, Stored, put_change
from catalog.api.query.tokens import accessor_of
from catalog.api.sight import Sight
from catalog.api.v1.shapes import Json, health_json
from catalog.compile.queries.definition import (
    HIDDEN,
    InvalidQueryError,
    Kept,
    Query,
    check_query,
    query_json,
)
from catalog.compile.queries.template import check_template
from catalog.state.changes import Batch, DeleteRecord
from catalog.state.index import Topic
from catalog.state.state import State

NOT_FOUND = "Query not found"
STALE_AT_ONCE = 100
"""How many queries of ended sessions one write removes."""


class QueryEndpoints:
    """The family `/v1/query`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._store = QueryStore()
        self._runner = make_runner(api, self._store)

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/query": {"GET": Method(self.list_all, IN_HANDLER), "POST": Method(self.create, IN_HANDLER)},
            "/v1/query/{query}": {
                "GET": Method(self.get, IN_HANDLER),
                "PUT": Method(self.update, IN_HANDLER),
                "DELETE": Method(self.delete, IN_HANDLER),
            },
            "/v1/query/{query}/execute": {"GET": Method(self.execute, IN_HANDLER)},
            "/v1/query/{query}/explain": {"GET": Method(self.explain, IN_HANDLER)},
        }

    async def create(self, call: Call) -> Answer:
        """Make a query. Its ID."""
        query = self._read(call)
        if query.id:
            raise RefusedError("ID must be empty when creating a new prepared query")
        query = msgspec.structs.replace(query, id=str(uuid.uuid4()))
        await self._write(call, query, None)
        return json_answer({"ID": query.id})

    async def update(self, call: Call) -> Answer:
        """Replace a query. An empty answer."""
        query_id, query = call.path["query"].lower(), self._read(call)
        before = self._store.by_id(self._api.parking.state, query_id)
        if before is None:
            raise RefusedError(f"Cannot modify non-existent prepared query: '{query_id[:80]}'")
        await self._write(call, msgspec.structs.replace(query, id=query_id), before)
        return Answer(200, b"", JSON)

    async def delete(self, call: Call) -> Answer:
        """Delete a query. An empty answer."""
        query_id = call.path["query"].lower()
        before = self._store.by_id(self._api.parking.state, query_id)
        if before is None:
            raise RefusedError(f"Cannot modify non-existent prepared query: '{query_id[:80]}'")
        _require_write(call, before.query)
        await self._api.submit(DeleteRecord(TABLE, query_id))
        return Answer(200, b"", JSON)

    async def list_all(self, call: Call) -> Answer:
        """The queries whose names the caller may read."""

        def read(state: State) -> Found:
            queries = self._store.all(state)
            shown = [_shown(stored) for stored in queries if _may_list(call, stored)]
            return Sight(call).found(shown, TOPIC, hidden=len(shown) < len(queries))

        return await answer_read(self._api.parking, call, read)

    async def get(self, call: Call) -> Answer:
        """One query by its id, as a list of it; 404 if there is none."""
        query_id = call.path["query"]

        def read(state: State) -> Found:
            stored = self._store.by_id(state, query_id)
            topics: tuple[Topic, ...] = ((*TOPIC, query_id.lower()),)
            if stored is None:
                return Found(None, topics, missing=NOT_FOUND)
            _require_read(call, stored.query)
            if stored.query.session:
                topics = (*topics, ("session", stored.query.session))
            return Found([_shown(stored)], topics)

        return await answer_read(self._api.parking, call, read)

    async def execute(self, call: Call) -> Answer:
        """Run a query by id or name; what it finds is hidden from who may not read the services and nodes."""
        state = self._api.parking.state
        ask = Ask(call.query.near, _limit(call), call.query.flag("connect"))
        try:
            executed = self._runner.run(state, call.path["query"], call.authorizer, ask)
        except InvalidQueryError as error:
            raise RefusedError(str(error)) from error
        if executed is None:
            raise NotFoundError(NOT_FOUND)
        shown: Json = {
            "Service": executed.query.service.service,
            "Nodes": [health_json(one.node, one.instance, one.checks) for one in executed.found],
            "DNS": {"TTL": executed.query.dns.ttl},
            "Datacenter": self._api.datacenter,
            "Failovers": executed.failovers,
        }
        return json_answer(shown, self._meta(call), pretty=call.query.pretty)

    async def explain(self, call: Call) -> Answer:
        """The query that a name comes to, every hole filled in."""
        state = self._api.parking.state
        try:
            known = self._runner.find(state, call.path["query"])
        except InvalidQueryError as error:
            raise RefusedError(str(error)) from error
        if known is None or not _may_read(call, known[0].query):
            # To the letter as for what there is not, else a refusal would tell of a template, and how it is called.
            call.require(Resource.QUERY, call.path["query"], Access.READ)
            raise NotFoundError(NOT_FOUND)
        stored, rendered = known
        kept = msgspec.structs.replace(stored.kept, query=rendered)
        shown = {"Query": query_json(kept, stored.create_index, stored.modify_index)}
        return json_answer(shown, self._meta(call), pretty=call.query.pretty)

    @staticmethod
    def _meta(call: Call) -> Meta:
        """The headers of an answer that nobody waits for anew: its index tells nothing of what the caller may not see."""
        return Meta(1, call.query.consistency)

    def _read(self, call: Call) -> Query:
        try:
            query = check_query(decode(call.body, Query))
            check_template(query)
        except InvalidQueryError as error:
            raise RefusedError(str(error)) from error
        return query

    async def _write(self, call: Call, query: Query, before: Stored | None) -> None:
        _require_write(call, query)
        if before is not None:
            _require_write(call, before.query)
        if before is not None and query.token == HIDDEN:
            _check_borrowed(call, query, before)
            accessor = before.kept.token_accessor  # what was read is written back
        else:
            accessor = accessor_of(self._api.gate, query.token)
        async with self._api.policy_lock:
            state = self._api.parking.state
            if query.session and state.session(query.session) is None:
                raise RefusedError("invalid session")
            try:
                self._store.check_unique(state, query)
            except InvalidQueryError as error:
                raise RefusedError(str(error)) from error
            stale = self._store.stale(state)[:STALE_AT_ONCE]
            await self._api.submit(Batch((*stale, put_change(Kept(query, accessor)))))


def _limit(call: Call) -> int:
    text = call.query.first("limit")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise BadRequestError(f"Invalid limit: {text[:40]!r} is no number of instances")
    return int(text)


def _shown(stored: Stored) -> Json:
    return query_json(stored.kept, stored.create_index, stored.modify_index)


def _require_write(call: Call, query: Query) -> None:
    """query:write on the name; for one without, on the empty name, which a rule for every prefix allows."""
    call.require(Resource.QUERY, query.name, Access.WRITE)


def _check_borrowed(call: Call, query: Query, before: Stored) -> None:
    """Let nobody turn a token that he does not hold to another purpose: what a query finds is found with its rights.

    Raises:
        PermissionDeniedError: it would find something else, and the caller does not manage tokens.
    """
    if not before.kept.token_accessor or call.authorizer.allows(Resource.ACL, "", Access.WRITE):
        return
    asked = (query.name, query.template, query.service)
    if asked != (before.query.name, before.query.template, before.query.service):
        raise PermissionDeniedError(
            "Permission denied: this query runs with a token that is not shown: give one of your own to change what it finds"
        )


def _require_read(call: Call, query: Query) -> None:
    if query.rule_name is not None:
        call.require(Resource.QUERY, query.rule_name, Access.READ)


def _may_read(call: Call, query: Query) -> bool:
    return query.rule_name is None or call.authorizer.allows(Resource.QUERY, query.rule_name, Access.READ)


def _may_list(call: Call, stored: Stored) -> bool:
    name = stored.query.rule_name
    if name is None:
        return call.authorizer.allows(Resource.ACL, "", Access.WRITE)
    return call.authorizer.allows(Resource.QUERY, name, Access.READ)
