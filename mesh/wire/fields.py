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

FORWARDED_CERT = b"x-forwarded-client-cert"
_TRUST_PREFIX = b"x-linkspan-"


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
    if not fields:
        return []
    names, values = zip(*fields, strict=True)
    # One pass in C over all names and one over all values: a character outside the allowed ones is left over.
    all_names = b"\n".join(names)
    all_values = b"".join(values)
    if head_bytes + len(all_names) + len(all_values) + FIELD_OVERHEAD_BYTES * len(fields) > MAX_HEAD_BYTES:
        raise HeadError(431, f"the head is larger than {MAX_HEAD_BYTES} bytes")
    if b"" in names or len(all_names.translate(None, TOKEN)) != len(fields) - 1:
        raise HeadError(400, "a header name is empty or holds a character that no token may hold")
    if all_values.translate(None, _VALUE):
        raise HeadError(400, "a header value holds a control character")
    return list(zip(all_names.lower().split(b"\n"), values, strict=True))


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
