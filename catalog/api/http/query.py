"""Query parameters every endpoint shares: blocking, consistency, datacenter, filter, near, node-meta, tag.

Pure text to values (reference: Consul API conventions). It must never ignore a parameter that would change whose
data is answered: a namespace, partition or peer that is not offered is refused, not dropped.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from catalog.api.http.errors import BadRequestError, RefusedError
from catalog.compile.entries.duration import InvalidDurationError, parse_duration

DEFAULT_WAIT_S = 300.0
MAX_WAIT_S = 600.0
MAX_PARAMETERS = 256
MAX_INDEX = 2**63 - 1

_ONE_TENANT = ("ns", "partition", "sg")


class Query(msgspec.Struct, frozen=True):
    """What the query string says. `values` holds all parameters, first to last; `wait_s` is 0 when not blocking."""

    values: Mapping[str, tuple[str, ...]]
    index: int = 0
    wait_s: float = 0.0
    consistency: str = "leader"
    cached: bool = False
    pretty: bool = False
    filter: str = ""
    near: str = ""
    node_meta: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    peer: str = ""

    def first(self, name: str, default: str = "") -> str:
        """The first value of a parameter."""
        return self.values.get(name, (default,))[0]

    def flag(self, name: str) -> bool:
        """Whether a parameter is there and does not say no (Consul: presence counts; `false` and `0` do not)."""
        return name in self.values and self.first(name).lower() not in {"false", "0"}


_PLAIN = Query({})
"""What no query string says."""


def parse_query(raw: bytes, *, datacenter: str, tenants_ignored: bool = False, peers_listed: bool = False) -> Query:
    """The query string of a request to a catalog of `datacenter`.

    `tenants_ignored` is for the one endpoint whose `ns` Consul ignores (`catalog/nodes`), `peers_listed` for lists that
    hold nothing of a peer that is not there (`blocking.answer_read` sees to that): nowhere else may one be asked for.

    Raises:
        BadRequestError: a parameter cannot be read, or two contradict.
        RefusedError: another datacenter is asked for (Consul answers 500).
    """
    if not raw:
        return _PLAIN
    values = _values(raw)
    check_datacenter(_first(values, "datacenter") or _first(values, "dc"), datacenter)
    if not tenants_ignored:
        for name in _ONE_TENANT:
            if _first(values, name):
                raise BadRequestError(f'Invalid query parameter: "{name}": this catalog has one namespace and no peers')
    peer = _first(values, "peer")
    if peer and not peers_listed:
        raise BadRequestError('Invalid query parameter: "peer": this catalog has one namespace and no peers')
    stale, consistent, cached = ("stale" in values), ("consistent" in values), ("cached" in values)
    if consistent and (stale or cached):
        other = "stale" if stale else "cached"
        raise BadRequestError(f"Cannot specify ?{other} with ?consistent, conflicting semantics.")
    index, wait_s = _index(_first(values, "index")), _wait_s(_first(values, "wait"))
    return Query(
        values=values,
        index=index,
        wait_s=wait_s if index else 0.0,
        consistency="stale" if stale else "consistent" if consistent else "leader",
        cached=cached,
        pretty="pretty" in values,
        filter=_first(values, "filter"),
        near=_first(values, "near"),
        node_meta=tuple(_pair(text) for text in values.get("node-meta", ()) if text),
        tags=tuple(tag for tag in values.get("tag", ()) if tag),
        peer=peer,
    )


def check_datacenter(asked: str, own: str) -> None:
    """Refuse any datacenter but our own, in Consul's words.

    Raises:
        RefusedError: 500 `No path to datacenter`.
    """
    if asked and asked.lower() != own.lower():
        raise RefusedError("No path to datacenter")


def _values(raw: bytes) -> Mapping[str, tuple[str, ...]]:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:  # also UnicodeDecodeError
        raise BadRequestError(
            f"Invalid query string: at most {MAX_PARAMETERS} parameters, percent-encoded UTF-8"
        ) from error
    values: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        values[name] = (*values.get(name, ()), value)
    return values


def _first(values: Mapping[str, tuple[str, ...]], name: str) -> str:
    return values.get(name, ("",))[0]


def _index(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise BadRequestError("Invalid index: it must be a number that an answer's X-Consul-Index gave")
    return min(int(text), MAX_INDEX)


def _wait_s(text: str) -> float:
    if not text:
        return DEFAULT_WAIT_S
    try:
        seconds = parse_duration(text).seconds
    except InvalidDurationError as error:
        raise BadRequestError(f"Invalid wait time: {error}") from error
    if seconds < 0:
        raise BadRequestError("Invalid wait time: it must not be negative")
    return min(seconds, MAX_WAIT_S) or DEFAULT_WAIT_S


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition(":")
    return key, value
