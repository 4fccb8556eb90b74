"""Header fields on the wire: what a name and a value may hold, and which fields end at this hop.

Used for heads parsed from HTTP/1 and for heads that a trunk peer sends, who may be hostile. It must never repair
a field: it is valid as it stands or the message is refused (RFC 9110 5, RFC 9112 5).
"""

from collections.abc import Iterable, Sequence

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in wire order: (name, value)."""

MAX_FIELDS = 100
MAX_HEAD_BYTES = 60 * 1024
FIELD_OVERHEAD_BYTES = 4
"""What a field costs on the wire besides its name and value: colon, space, CR, LF."""

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUE = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))

CONNECTION_FIELDS = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""Fields that end at this hop, always (RFC 9110 7.6.1)."""

_NOT_IN_TRAILERS = CONNECTION_FIELDS | {
    b"host",
    b"content-length",
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"authorization",
    b"cookie",
    b"set-cookie",
    b"expect",
    b"cache-control",
    b"max-forwards",
    b"range",
}

MAX_NAME_BYTES = 256
_SURELY_SMALL_BYTES = MAX_HEAD_BYTES - MAX_FIELDS * MAX_NAME_BYTES

FORWARDED_CERT = b"x-forwarded-client-cert"
_TRUST_PREFIX = b"x-linkspan-"


# The usual names, so that a head costs one lookup a field; others are checked one by one.
_END_TO_END = frozenset(
    b"accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-origin age allow"
    b" authorization cache-control content-disposition content-encoding content-language content-length content-location"
    b" content-range content-security-policy content-type cookie date dnt etag expect expires forwarded from"
    b" grpc-accept-encoding grpc-encoding grpc-message grpc-status grpc-timeout host if-match if-modified-since"
    b" if-none-match if-range if-unmodified-since last-modified link location origin pragma priority range referer"
    b" retry-after sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user server server-timing set-cookie"
    b" strict-transport-security traceparent tracestate upgrade-insecure-requests user-agent vary via www-authenticate"
    b" x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-content-type-options x-forwarded-for x-forwarded-host"
    b" x-forwarded-port x-forwarded-proto x-frame-options x-real-ip x-request-id x-requested-with".split()
)
_LOWER = {spelling: name for name in _END_TO_END | CONNECTION_FIELDS for spelling in (name, name.title(), name.upper())}


class HeadError(ValueError):
    """The peer sent a head that may not pass. `status` is the answer it gets, `reason` one line for it and the log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


def validate_fields(fields: Fields, head_bytes: int = 0) -> list[tuple[bytes, bytes]]:
    """Return the fields with lower-case names, in order.

    `head_bytes` is what the rest of the head (start line) takes of `MAX_HEAD_BYTES`.

    Raises:
        HeadError: 431 above 100 fields or 60 KiB, 400 for a name that is no token (pseudo fields with a colon
            included) or a value with CR, LF, NUL or another control character.
    """
    if len(fields) > MAX_FIELDS:
        raise HeadError(431, f"more than {MAX_FIELDS} header fields")
    known = _LOWER.get
    checked = [(known(name) or _check_name(name), value) for name, value in fields]
    # One pass in C over all values: a character outside the allowed ones is left over.
    values = b"".join([value for _, value in fields])
    if values.translate(None, _VALUE):
        raise HeadError(400, "a header value holds a control character")
    size_bytes = head_bytes + len(values) + FIELD_OVERHEAD_BYTES * len(fields)
    if size_bytes > _SURELY_SMALL_BYTES and size_bytes + sum(len(name) for name, _ in fields) > MAX_HEAD_BYTES:
        raise HeadError(431, f"the head is larger than {MAX_HEAD_BYTES} bytes")
    return checked


def _check_name(name: bytes) -> bytes:
    """The name in lower case; the way for names that are not among the usual ones."""
    if not name or name.translate(None, TOKEN):
        raise HeadError(400, "a header name is empty or holds a character that no token may hold")
    if len(name) > MAX_NAME_BYTES:
        raise HeadError(431, f"a header name is longer than {MAX_NAME_BYTES} bytes")
    return name.lower()


def validate_trailers(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Return trailer fields with lower-case names.

    Raises:
        HeadError: as `validate_fields`, and 400 for a field that frames, routes or authenticates (RFC 9110 6.5.1).
    """
    checked = validate_fields(fields)
    for name, _ in checked:
        if name in _NOT_IN_TRAILERS or is_trust_field(name):
            raise HeadError(400, f"{name.decode()} is not allowed as a trailer")
    return checked


def list_members(values: Iterable[bytes]) -> list[bytes]:
    """The members of a comma-separated field over all its lines, lower-case, empty ones left out (RFC 9110 5.6.1)."""
    return [member for value in values for part in value.split(b",") if (member := part.strip(b" \t").lower())]


def is_trust_field(name: bytes) -> bool:
    """Whether a field says who the caller is, and so is only ever set by a proxy of the mesh.

    `_` counts as `-`, since CGI-like applications (WSGI among them) cannot tell the two apart.
    """
    if name[:1] != b"x":
        return False
    plain = name.replace(b"_", b"-")
    return plain == FORWARDED_CERT or plain.startswith(_TRUST_PREFIX)


def forwardable(fields: Fields, keep_upgrade: bool = False) -> list[tuple[bytes, bytes]]:
    """`strip_hop_by_hop` and `strip_trust_fields` in one pass, for the hot path."""
    usual = _END_TO_END
    kept = [field for field in fields if field[0] in usual or _goes_on(field[0])]
    if len(kept) == len(fields):
        return kept
    # Something ends here, and Connection may list more.
    return strip_trust_fields(strip_hop_by_hop(fields, keep_upgrade))


def _goes_on(name: bytes) -> bool:
    return name not in CONNECTION_FIELDS and not is_trust_field(name)


def strip_hop_by_hop(fields: Fields, keep_upgrade: bool = False) -> list[tuple[bytes, bytes]]:
    """Drop what ends at this hop: the connection fields and every field that `Connection` lists.

    `fields` have lower-case names (`validate_fields`). `keep_upgrade`: the exchange really upgrades, so a
    `connection: upgrade` and the `upgrade` field are passed on.
    """
    listed: frozenset[bytes] | set[bytes] = CONNECTION_FIELDS
    for name, value in fields:
        if name == b"connection":
            listed = set(listed).union(list_members((value,)))
    kept = [field for field in fields if field[0] not in listed]
    if keep_upgrade:
        kept.append((b"connection", b"upgrade"))
        kept += [field for field in fields if field[0] == b"upgrade"]
    return kept


def strip_trust_fields(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Drop what a client may not say about itself: `x-forwarded-client-cert` and `x-linkspan-*` (lower-case names)."""
    return [field for field in fields if field[0][:1] != b"x" or not is_trust_field(field[0])]
