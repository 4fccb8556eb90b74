"""`/v1/connect/intentions`: list, exact, match, check. Intentions live in service-intentions entries, one a destination."""

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import parse_json
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError
from catalog.api.policy.entries import warning_text, with_warning
from catalog.api.sight import Sight
from catalog.compile.config_entries import decode_source
from catalog.compile.entries.reader import idle_fields
from catalog.compile.intentions import (
    KIND,
    IntentionRow,
    check_allowed,
    check_source_write,
    find_intention,
    list_intentions,
    match_intentions,
    source_body,
)
from catalog.compile.selectors import INTENTION
from catalog.state.changes import DeleteIntention, PutIntention
from catalog.state.state import State
from mesh.model.identity import DEFAULT_NAMESPACE


class IntentionEndpoints:
    """The family `/v1/connect/intentions`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/connect/intentions": {"GET": Method(self.list_all, IN_HANDLER)},
            "/v1/connect/intentions/exact": {
                "GET": Method(self.get, IN_HANDLER),
                "PUT": Method(self.put, IN_HANDLER),
                "DELETE": Method(self.delete, IN_HANDLER),
            },
            "/v1/connect/intentions/match": {"GET": Method(self.match, IN_HANDLER)},
            "/v1/connect/intentions/check": {"GET": Method(self.check, IN_HANDLER)},
        }

    async def list_all(self, call: Call) -> Answer:
        """Every intention whose source or destination the caller may read, highest precedence first."""

        def read(state: State) -> Found:
            rows = list_intentions(state, self._api.entries)
            shown = [row.to_json() for row in rows if may_read(call, row.source.name, row.destination)]
            sight = Sight(call)
            return sight.found(shown, ("config", KIND), hidden=len(shown) < len(rows), whole=sight.all_intentions)

        return await answer_read(self._api.parking, call, read, fields=INTENTION)

    async def get(self, call: Call) -> Answer:
        """The intention of exactly that pair; 404 if there is none. The source may be `peer:<peer>/<name>`."""
        peer, source = _peered(call.query.first("source"))
        source, destination = plain_name(source, "source"), _name(call, "destination")

        def read(state: State) -> Found:
            require_read(call, source, destination)
            row = find_intention(state, self._api.entries, source, destination, peer)
            topics = (("intentions", destination),)
            return Found(None, topics, missing="Intention not found") if row is None else Found(row.to_json(), topics)

        return await answer_read(self._api.parking, call, read, quiet=True)

    async def put(self, call: Call) -> Answer:
        """Write one intention. True. A header names what is kept and shown, and not acted on."""
        source, destination = _name(call, "source"), _name(call, "destination")
        call.require(Resource.INTENTION, destination, Access.WRITE)
        part = decode_source(parse_json(call.body), destination, source)
        async with self._api.policy_lock:
            check_source_write(self._api.entries, part, destination)
            written = await self._api.submit(PutIntention(destination, source_body(part)))
        return with_warning(json_answer(written), warning_text("intention", idle_fields(part)))

    async def delete(self, call: Call) -> Answer:
        """Delete one intention. True, also if there was none."""
        source, destination = _name(call, "source"), _name(call, "destination")
        call.require(Resource.INTENTION, destination, Access.WRITE)
        async with self._api.policy_lock:
            return json_answer(await self._api.submit(DeleteIntention(destination, {"Name": source})))

    async def match(self, call: Call) -> Answer:
        """What could decide for a source or a destination: `{name: [intentions]}`, for each name asked."""
        by = call.query.first("by")
        names = [plain_name(text, "name") for text in call.query.values.get("name", ()) if text]
        if by not in {"source", "destination"}:
            raise BadRequestError("required query parameter 'by' not set: use by=source or by=destination")
        if not names:
            raise BadRequestError("required query parameter 'name' not set")

        def read(state: State) -> Found:
            for name in names:
                call.require(Resource.INTENTION, name, Access.READ)
            found = {name: self._matching(state, by, name) for name in names}
            shown = {name: [row.to_json() for row in rows] for name, rows in found.items()}
            return Sight(call).found(
                shown, ("config", KIND)
            )  # Consul: sleeps through other changes, and answers their index

        return await answer_read(self._api.parking, call, read, quiet=True)

    async def check(self, call: Call) -> Answer:
        """Whether a connection from source to destination would be allowed; one with L7 permissions would not."""
        source, destination = _name(call, "source"), _name(call, "destination")
        require_read(call, source, destination)
        if call.query.first("source-type", "consul") != "consul":
            raise BadRequestError("source-type must be 'consul'")
        allowed = check_allowed(self._api.entries, source, destination, self._api.default_action)
        return json_answer({"Allowed": allowed}, pretty=call.query.pretty)

    def _matching(self, state: State, by: str, name: str) -> list[IntentionRow]:
        return match_intentions(state, self._api.entries, by, name)


def _name(call: Call, parameter: str) -> str:
    text = call.query.first(parameter)
    if not text:
        raise BadRequestError(f"required query parameter {parameter!r} not set")
    return plain_name(text, parameter)


def _peered(text: str) -> tuple[str, str]:
    """The peer and the rest of `peer:<peer>/<name>`; no peer for any other text.

    Raises:
        BadRequestError: there is no text.
    """
    if not text:
        raise BadRequestError("required query parameter 'source' not set")
    if not text.startswith("peer:"):
        return "", text
    peer, _, name = text.removeprefix("peer:").partition("/")
    return peer, name


def may_read(call: Call, source: str, destination: str) -> bool:
    """Whether the caller may read one of both (Consul: either is enough)."""
    return any(call.authorizer.allows(Resource.INTENTION, name, Access.READ) for name in (destination, source))


def require_read(call: Call, source: str, destination: str) -> None:
    """Go on only if the caller may read one of both.

    Raises:
        PermissionDeniedError: neither.
    """
    if not may_read(call, source, destination):
        call.require(Resource.INTENTION, destination, Access.READ)


def plain_name(text: str, parameter: str) -> str:
    """The name in `[[partition/]namespace/]name`; both may only be `default`.

    Raises:
        BadRequestError: another namespace or partition, or too many parts.
    """
    *scope, name = text.split("/")
    if not name or len(scope) > 2 or any(part != DEFAULT_NAMESPACE for part in scope):
        raise BadRequestError(f"parameter {parameter!r}: {text[:80]!r} is not a name in the one namespace there is")
    return name
