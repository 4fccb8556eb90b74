"""Head validation: what a parsed request or response head must satisfy before anything is decided from it.

No HTTP parser refuses every smuggling case alone (llhttp passes HTTP/0.9, a missing or second Host, `gzip, chunked`
and transfer codings on HTTP/1.0; it refuses methods that it does not know, which stay refused). So every head goes
through here, whatever parsed it, and is always written anew: raw bytes are never passed on.
It must never repair a head: valid as it stands, or `HeadError` with the answer's status.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from mesh.wire.fields import (
    CONNECTION_FIELDS,
    FORWARDED_CERT,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    TOKEN,
    Fields,
    HeadError,
    forwardable,
    is_trust_field,
    list_members,
    strip_hop_by_hop,
    strip_trust_fields,
    validate_fields,
    validate_trailers,
)

__all__ = [
    "CHUNKED",
    "FORWARDED_CERT",
    "MAX_FIELDS",
    "MAX_HEAD_BYTES",
    "UNTIL_CLOSE",
    "Fields",
    "HeadError",
    "ValidHead",
    "ValidResponse",
    "forwardable",
    "strip_hop_by_hop",
    "strip_trust_fields",
    "validate_fields",
    "validate_head",
    "validate_response",
    "validate_trailers",
    "validate_trunk_head",
    "validate_trunk_response",
]

CHUNKED = -1
"""Body length of a chunked message."""
UNTIL_CLOSE = -2
"""Body length of a response that ends with its connection."""

MAX_CONTENT_BYTES = 10**15
MAX_METHOD_BYTES = 32

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}))(?::([0-9]{1,5}))?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(/[^#]*|\?[^#]*)?", re.IGNORECASE)
_MAX_DIGITS = 16
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"))
_INTERESTING = CONNECTION_FIELDS | {b"host", b"content-length", b"expect"}
# A peer that could have these removed by naming them in Connection would unframe, misroute or unmask the message.
_NEVER_LISTED = frozenset((b"host", b"content-length", b"authorization", b"cookie", b"traceparent"))


class ValidHead(msgspec.Struct, frozen=True):
    """A request head that may be decided from.

    `target` is in origin form (`/path?query`, path not yet canonical) or `*`. `host` is lower-case without port and
    closing dot; the field itself stands in `fields`, whose names are lower-case. `length` is the body's bytes (0: no
    body) or `CHUNKED`. `upgrade` is the lower-case protocol asked for, empty for none; llhttp may still think that the
    connection upgrades (h2c, several protocols, HTTP/1.0), so go on with a new parser when it says so.
    """

    method: bytes
    target: bytes
    host: bytes
    fields: list[tuple[bytes, bytes]]
    length: int = 0
    keep_alive: bool = True
    upgrade: bytes = b""
    expect_continue: bool = False


class ValidResponse(msgspec.Struct, frozen=True):
    """A response head that may be passed on. `length` is the body's bytes, `CHUNKED` or `UNTIL_CLOSE`."""

    status: int
    fields: list[tuple[bytes, bytes]]
    length: int
    keep_alive: bool = True


def validate_head(method: bytes, target: bytes, version: str, fields: Fields) -> ValidHead:
    """Check one HTTP/1 request head as its parser gave it. `version` is "1.0" or "1.1".

    Raises:
        HeadError: with the status to answer (400, 417, 431, 501, 505) and a one-line reason.
    """
    if version not in {"1.1", "1.0"}:
        raise HeadError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    checked = validate_fields(fields, len(method) + len(target) + 12)
    found = _collect(checked)
    length = _request_length(found, version)
    target, host = _target_and_host(method, target, found)
    if len(found) == 1 or (len(found) == 2 and b"content-length" in found):
        # Host and at most a length: nothing below can apply.
        return ValidHead(method, target, host, checked, length, version == "1.1")
    options = list_members(found.get(b"connection", ()))
    if options:
        _check_listed(options)
    return ValidHead(
        method,
        target,
        host,
        checked,
        length,
        b"close" not in options and (version == "1.1" or b"keep-alive" in options),
        _upgrade(found, options, length) if version == "1.1" and options else b"",
        _expects_continue(found, version) if b"expect" in found else False,
    )


def validate_trunk_head(method: bytes, target: bytes, fields: Fields) -> ValidHead:
    """Check a request head that came as fields over a trunk (or HTTP/2): no connection field may be in it.

    The authority travels as the `host` field. `length` is the announced content-length, `CHUNKED` when there is none
    (the stream's END frame then ends the body). An upgrade travels as the field `upgrade`, one protocol.

    Raises:
        HeadError: as `validate_head`; 400 also for a connection field.
    """
    checked = validate_fields(fields, len(method) + len(target) + 12)
    found = _collect(checked)
    upgrade = b""
    if not CONNECTION_FIELDS.isdisjoint(found):
        _refuse_connection_fields(found, 400)
        upgrade = _upgrade(found, [b"upgrade"], 0)
    target, host = _target_and_host(method, target, found)
    length = _content_length(found[b"content-length"]) if b"content-length" in found else CHUNKED
    return ValidHead(method, target, host, checked, length, keep_alive=True, upgrade=upgrade)


def validate_response(status: int, version: str, fields: Fields, request_method: bytes = b"GET") -> ValidResponse:
    """Check one HTTP/1 response head and tell how long its body is (RFC 9112 6.3).

    Raises:
        HeadError: 502: the answering side broke the protocol.
    """
    if version not in {"1.1", "1.0"}:
        raise HeadError(502, f"the application answered with HTTP/{version[:8]}")
    if not 100 <= status <= 599:
        raise HeadError(502, f"the application answered with status {status}")
    checked = _response_fields(fields)
    found = _collect(checked)
    options = list_members(found[b"connection"]) if b"connection" in found else []
    keep_alive = b"close" not in options and (version == "1.1" or b"keep-alive" in options)
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    if codings is not None:
        if lengths is not None or version == "1.0" or codings != [b"chunked"]:
            # A second framing beside chunked, or a coding that we cannot see the end of.
            raise HeadError(502, "the application's answer has ambiguous framing")
        length = CHUNKED
    elif lengths is not None:
        length = _response_content_length(lengths)
    else:
        length = UNTIL_CLOSE
    if status < 200 or status == 204:
        # Never a body (RFC 9110 15.2, 15.3.5): drop what announces one, and trust no byte that follows.
        keep_alive = keep_alive and codings is None and (lengths is None or lengths == [b"0"])
        return ValidResponse(status, _without_framing(checked), 0, keep_alive)
    if request_method == b"HEAD" or status == 304:
        length = 0
    return ValidResponse(status, checked, length, keep_alive and length != UNTIL_CLOSE)


def validate_trunk_response(status: int, fields: Fields, request_method: bytes = b"GET") -> ValidResponse:
    """Check a response head that came over a trunk. `length` is the announced one, else `CHUNKED` (ended by END).

    Raises:
        HeadError: 502.
    """
    if not 100 <= status <= 599:
        raise HeadError(502, f"the peer answered with status {status}")
    checked = _response_fields(fields)
    found = _collect(checked)
    if not CONNECTION_FIELDS.isdisjoint(found):
        _refuse_connection_fields(found, 502)
    lengths = found.get(b"content-length")
    length = _response_content_length(lengths) if lengths else CHUNKED
    if status < 200 or status == 204:
        return ValidResponse(status, _without_framing(checked), 0)
    if request_method == b"HEAD" or status == 304:
        length = 0
    return ValidResponse(status, checked, length)


def _without_framing(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0] not in _FRAMING]


def _collect(fields: Fields) -> dict[bytes, list[bytes]]:
    """The values of the fields that frame or route, by name."""
    interesting = _INTERESTING
    found: dict[bytes, list[bytes]] = {}
    for name, value in [field for field in fields if field[0] in interesting]:
        found.setdefault(name, []).append(value)
    return found


def _refuse_connection_fields(found: dict[bytes, list[bytes]], status: int) -> None:
    for name in found:
        if name in CONNECTION_FIELDS and name != b"upgrade":
            raise HeadError(status, f"{name.decode()} may not travel between proxies")


def _request_length(found: dict[bytes, list[bytes]], version: str) -> int:
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    if codings is None:
        return 0 if lengths is None else _content_length(lengths)
    if lengths is not None:
        raise HeadError(400, "both Content-Length and Transfer-Encoding")
    if version == "1.0":
        raise HeadError(400, "Transfer-Encoding on HTTP/1.0")
    if len(codings) != 1 or codings[0].lower() != b"chunked":
        raise HeadError(501, "Transfer-Encoding must be exactly `chunked`")
    return CHUNKED


def _content_length(values: Sequence[bytes]) -> int:
    if len(values) != 1:
        raise HeadError(400, "more than one Content-Length")
    value = values[0]
    # bytes.isdigit knows ASCII digits only.
    if not value.isdigit() or len(value) > _MAX_DIGITS or (length := int(value)) > MAX_CONTENT_BYTES:
        raise HeadError(400, "Content-Length is not one decimal number")
    return length


def _response_content_length(values: Sequence[bytes]) -> int:
    try:
        return _content_length(values)
    except HeadError as error:
        raise HeadError(502, f"the answer has {error.reason}") from error


def _response_fields(fields: Fields) -> list[tuple[bytes, bytes]]:
    try:
        return validate_fields(fields)
    except HeadError as error:
        raise HeadError(502, f"the answer was refused: {error.reason}") from error


def _target_and_host(method: bytes, target: bytes, found: dict[bytes, list[bytes]]) -> tuple[bytes, bytes]:
    """The target in origin form and the host, without port, in lower case."""
    if method not in _METHODS and (not method or len(method) > MAX_METHOD_BYTES or method.translate(None, TOKEN)):
        raise HeadError(400, "the method is no token")
    if method == b"CONNECT":
        raise HeadError(501, "CONNECT is not offered")
    hosts = found.get(b"host")
    if hosts is None:
        raise HeadError(400, "the Host field is missing")
    if len(hosts) != 1:
        raise HeadError(400, "more than one Host field")
    host = _host(hosts[0])
    return (target if target[:1] == b"/" else _origin_form(method, target, hosts[0])), host


def _origin_form(method: bytes, target: bytes, host: bytes) -> bytes:
    """The origin form of an absolute target that agrees with `host`, or `*` of OPTIONS (RFC 9112 3.2)."""
    if target == b"*":
        if method != b"OPTIONS":
            raise HeadError(400, "the target * is for OPTIONS only")
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise HeadError(400, "the request target is neither a path nor an absolute http address")
    authority, rest = absolute.groups()
    if authority.lower() != host.lower():
        raise HeadError(400, "the request target and the Host field name different hosts")
    if rest is None:
        return b"*" if method == b"OPTIONS" else b"/"
    return rest if rest[:1] == b"/" else b"/" + rest


@lru_cache(maxsize=1024)
def _host(value: bytes) -> bytes:
    match = _HOST.fullmatch(value)
    if match is None or (match[2] is not None and int(match[2]) > 65535):
        raise HeadError(400, "the Host field holds no host name")
    return match[1].lower().removesuffix(b".")


def _check_listed(options: Sequence[bytes]) -> None:
    for option in options:
        if option in _NEVER_LISTED or is_trust_field(option):
            raise HeadError(400, "Connection lists a field that must reach the application")


def _upgrade(found: dict[bytes, list[bytes]], options: Sequence[bytes], length: int) -> bytes:
    """The protocol to upgrade to; empty when none is asked for properly. `h2c` is never passed on (h2c smuggling)."""
    protocols = list_members(found.get(b"upgrade", ()))
    if not protocols or b"upgrade" not in options:
        return b""
    if length:
        # Parsers disagree whether what follows is the body or already the tunnel.
        raise HeadError(400, "an upgrade request with a body")
    if len(protocols) != 1 or protocols[0] == b"h2c":
        return b""
    return b"" if protocols[0].translate(None, TOKEN + b"/") else protocols[0]


def _expects_continue(found: dict[bytes, list[bytes]], version: str) -> bool:
    if [value.lower() for value in found[b"expect"]] != [b"100-continue"]:
        raise HeadError(417, "the only expectation met here is 100-continue")
    return version == "1.1"
