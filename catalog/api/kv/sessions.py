"""`/v1/session/*`: make, end, renew and look at sessions.

`session/create` reads its body as lax as Consul does: unknown fields and a given ID or datacenter are passed over
(reference: measured traps 1). A wrong value is 500 there, and here.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from catalog.access.acl.live import current, topics_of
from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, settle
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import NotFoundError, RefusedError
from catalog.api.kv.shapes import read_meta, session_json
from catalog.api.sight import Sight
from catalog.api.v1.naming import consul_name
from catalog.compile.entries.duration import InvalidDurationError, format_duration, parse_duration
from catalog.state.changes import CreateSession, DestroySession
from catalog.state.errors import InvalidChangeError
from catalog.state.index import Topic
from catalog.state.limits import MAX_LOCK_DELAY_NS, MAX_SESSION_TTL_S, MIN_SESSION_TTL_S
from catalog.state.records import SERF_HEALTH, Behavior, ServiceCheck, Session
from catalog.state.state import State

DEFAULT_LOCK_DELAY_NS = 15 * 10**9
SECONDS_BELOW = 1000
"""A lock-delay given as a number smaller than this means seconds; nobody means nanoseconds then (Consul's rule)."""


class ServiceCheckBody(msgspec.Struct, frozen=True, rename=consul_name):
    """One of `ServiceChecks`."""

    id: str = ""
    namespace: str = ""


class SessionBody(msgspec.Struct, frozen=True, rename=consul_name):
    """The body of `PUT /v1/session/create`. `checks` is the older form of `node_checks`."""

    lock_delay: str | int | float | None = None
    node: str = ""
    name: str = ""
    checks: tuple[str, ...] | None = None
    node_checks: tuple[str, ...] | None = None
    service_checks: tuple[ServiceCheckBody, ...] = ()
    behavior: str = ""
    ttl: str = ""

    def session(self, session_id: str, node: str) -> Session:
        """The session it asks for; without a word on checks it is bound to the node's own health.

        Raises:
            RefusedError: a duration or the behaviour cannot be read, or is out of bounds.
        """
        if self.checks is None and self.node_checks is None:
            checks: Iterable[str] = (SERF_HEALTH,)
        else:
            checks = dict.fromkeys((*(self.node_checks or ()), *(self.checks or ())))
        return Session(
            id=session_id,
            node=self.node or node,
            name=self.name,
            lock_delay_ns=lock_delay_ns(self.lock_delay),
            behavior=_behavior(self.behavior),
            ttl=self.ttl,
            ttl_s=_ttl_s(self.ttl),
            node_checks=tuple(checks),
            service_checks=tuple(ServiceCheck(check.id, check.namespace) for check in self.service_checks),
        )


class SessionEndpoints:
    """The family `/v1/session`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        handlers: Mapping[str, tuple[str, Any]] = {
            "create": ("PUT", self.create),
            "destroy/{session_id}": ("PUT", self.destroy),
            "renew/{session_id}": ("PUT", self.renew),
            "info/{session_id}": ("GET", self.info),
            "node/{node}": ("GET", self.of_node),
            "list": ("GET", self.all),
        }
        return {
            # A renewal is no write worth a line of the audit log: it changes nothing, and comes every few seconds.
            f"/v1/session/{path}": {method: Method(handler, IN_HANDLER, audited=not path.startswith("renew"))}
            for path, (method, handler) in handlers.items()
        }

    async def create(self, call: Call) -> Answer:
        """Make a session, on the node that the call came from or through unless it names one. Its ID."""
        body = decode(call.body, SessionBody) if call.body.strip() else SessionBody()
        own = self._api.gate.node_of(call.connection) or self._api.node
        session = body.session(str(uuid.uuid4()), own)
        call.require(Resource.SESSION, session.node, Access.WRITE)
        try:
            await self._api.submit(CreateSession(session))
        except InvalidChangeError as error:  # also a node or check that is not there
            raise RefusedError(f"Session refused: {error}") from error
        return json_answer({"ID": session.id})

    async def destroy(self, call: Call) -> Answer:
        """End a session. True, also if it was not there."""
        session = self._api.parking.state.session(call.path["session_id"])
        if session is None:
            return json_answer(value=True)
        call.require(Resource.SESSION, session.node, Access.WRITE)
        return json_answer(await self._api.submit(DestroySession(session.id)))

    async def renew(self, call: Call) -> Answer:
        """Start a session's time to live anew. The session; 404 if it is not there."""
        session_id = call.path["session_id"]
        known = self._api.parking.state.session(session_id)
        if known is not None:
            call.require(Resource.SESSION, known.node, Access.WRITE)
        session = await self._api.renew_session(session_id)
        if session is None:
            raise NotFoundError(f"Session id '{session_id[:120]}' not found")
        return json_answer([session_json(session)])

    async def info(self, call: Call) -> Answer:
        """One session as a list of it; an empty one if it is not there."""
        session_id = call.path["session_id"]

        def rows(state: State) -> list[Session]:
            session = state.session(session_id)
            return [] if session is None else [session]

        return await self._read(call, ("session", session_id), rows)

    async def of_node(self, call: Call) -> Answer:
        """The sessions on a node."""
        node = call.path["node"]
        return await self._read(call, ("sessions", node), lambda state: state.sessions(node), node)

    async def all(self, call: Call) -> Answer:
        """All sessions."""
        return await self._read(call, ("sessions",), lambda state: state.sessions())

    async def _read(self, call: Call, topic: Topic, rows: Any, node: str = "") -> Answer:
        """What is there of `rows`; on a node that the caller does not see, what there is on none."""

        def read(state: State) -> Found:
            rights, there = current(call.authorizer), rows(state)
            if rights.allows_all(Resource.SESSION, "", Access.READ):
                return Found([session_json(row) for row in there], (topic,))
            if node and not rights.allows(Resource.SESSION, node, Access.READ):
                return Sight(call).unseen(("sessions", ""), [])
            seen = [session_json(row) for row in there if rights.allows(Resource.SESSION, row.node, Access.READ)]
            topics = (topic, *topics_of(call.authorizer))
            return Found(seen, topics, partial=True, hidden=len(seen) < len(there))

        found = await settle(self._api.parking, call, read)
        return json_answer(found.value, read_meta(call, found), pretty=call.query.pretty)


def lock_delay_ns(given: str | float | None) -> int:
    """A lock-delay in nanoseconds: a duration's text, or a number of seconds or, from 1,000 on, nanoseconds.

    Raises:
        RefusedError: it is none, or not 0 to 60 s.
    """
    if given is None or given == "":
        return DEFAULT_LOCK_DELAY_NS
    if isinstance(given, str):
        try:
            delay_ns = parse_duration(given).nanoseconds
        except InvalidDurationError as error:
            raise RefusedError(f"Invalid LockDelay: {error}") from error
    else:
        delay_ns = int(given * 10**9 if given < SECONDS_BELOW else given)
    if not 0 <= delay_ns <= MAX_LOCK_DELAY_NS:
        raise RefusedError(f"Invalid LockDelay {format_duration(delay_ns)}: it must be 0s to 60s")
    return delay_ns


def _ttl_s(text: str) -> float:
    if not text:
        return 0.0
    try:
        ttl_s = parse_duration(text).seconds
    except InvalidDurationError as error:
        raise RefusedError(f"Invalid Session TTL: {error}") from error
    if not MIN_SESSION_TTL_S <= ttl_s <= MAX_SESSION_TTL_S:
        raise RefusedError(f"Invalid Session TTL '{text[:40]}', must be between [10s=24h]")
    return ttl_s


def _behavior(text: str) -> Behavior:
    try:
        return Behavior(text or "release")
    except ValueError as error:
        raise RefusedError(f"Invalid Behavior setting '{text[:40]}': use release or delete") from error
