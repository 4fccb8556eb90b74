"""Header fields: characters, bounds, what ends at this hop, what a client may not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.wire.fields import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
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


def test_names_become_lower_case_and_order_stays() -> None:
    """Values are left alone, obs-text included; no fields are no fields."""
    fields = [(b"X-A", b"One, \t\xff"), (b"a!#$%&'*+-.^_`|~9", b""), (b"X-A", b"2")]
    assert validate_fields(fields) == [(b"x-a", b"One, \t\xff"), (b"a!#$%&'*+-.^_`|~9", b""), (b"x-a", b"2")]
    assert validate_fields([]) == []


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b":path",
        b"a b",
        b"a:",
        b"a\r",
        b"a\n",
        b"\n",
        b"a\0",
        b"\xc3\xa9",
        b"a(b)",
        b"a,b",
        b" a",
        b"a\x7f",
        b'"',
        b"a/b",
    ],
)
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    """Pseudo fields of HTTP/2, separators, controls and non-ASCII have no place in a name."""
    with pytest.raises(HeadError) as caught:
        validate_fields([(b"a", b"b"), (name, b"x"), (b"c", b"d")])
    assert caught.value.status == 400


@pytest.mark.parametrize("byte", [*range(9), *range(10, 32), 127])
def test_a_control_character_in_a_value_is_refused(byte: int) -> None:
    """CR, LF and NUL first of all; a tab is allowed."""
    with pytest.raises(HeadError):
        validate_fields([(b"a", b"x" + bytes((byte,)) + b"y")])


def test_bounds() -> None:
    """100 fields and 60 KiB pass, one more is 431."""
    assert len(validate_fields([(b"a", b"")] * MAX_FIELDS)) == MAX_FIELDS
    assert validate_fields([(b"a" * 256, b"")])
    room = MAX_HEAD_BYTES - len(b"a") - 4 - 20
    assert validate_fields([(b"a", b"x" * room)], 20)
    for fields in ([(b"a", b"")] * (MAX_FIELDS + 1), [(b"a", b"x" * (room + 1))], [(b"a" * 257, b"")]):
        with pytest.raises(HeadError) as caught:
            validate_fields(fields, 20)
        assert caught.value.status == 431


@given(st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=5))
def test_any_fields_are_valid_or_refused(fields: Fields) -> None:
    """What passes cannot break a head that is written from it."""
    try:
        checked = validate_fields(fields)
    except HeadError:
        return
    text = b"".join(b"%b: %b\r\n" % field for field in checked)
    assert text.count(b"\r\n") == len(fields) == text.count(b"\n") == text.count(b"\r")
    assert all(name and b":" not in name and name == name.lower() for name, _ in checked)
    assert checked == validate_fields(checked)


@pytest.mark.parametrize(
    "name",
    [b"Content-Length", b"transfer-encoding", b"Host", b"trailer", b"authorization", b"x-linkspan-source", b"te"],
)
def test_trailers_neither_frame_nor_route_nor_authenticate(name: bytes) -> None:
    """RFC 9110 6.5.1: such a field after the body is refused."""
    with pytest.raises(HeadError):
        validate_trailers([(b"grpc-status", b"0"), (name, b"5")])
    assert validate_trailers([(b"Grpc-Status", b"0")]) == [(b"grpc-status", b"0")]


def test_what_ends_at_this_hop_is_dropped() -> None:
    """The connection fields, and whatever Connection lists over all its lines."""
    kept = [(b"host", b"a"), (b"x-b", b"2")]
    gone = [
        (b"connection", b"close, X-A"), (b"connection", b"x-c"), (b"x-a", b"1"), (b"x-c", b"3"), (b"keep-alive", b"5"),
        (b"proxy-authorization", b"x"), (b"te", b"trailers"), (b"trailer", b"x"), (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"), (b"http2-settings", b"AA"), (b"proxy-connection", b"x"),
    ]  # fmt: skip
    assert kept == strip_hop_by_hop([kept[0], *gone, kept[1]])


def test_an_upgrade_is_passed_on_when_it_happens() -> None:
    """Only then, with a Connection of our own."""
    fields = [(b"host", b"a"), (b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"websocket")]
    expected = [(b"host", b"a"), (b"connection", b"upgrade"), (b"upgrade", b"websocket")]
    assert expected == strip_hop_by_hop(fields, keep_upgrade=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"x-forwarded-client-cert", True),
        (b"x_forwarded-client_cert", True),
        (b"x-linkspan-source", True),
        (b"x_linkspan_source", True),
        (b"x-forwarded-for", False),
        (b"x-linkspa", False),
        (b"traceparent", False),
    ],
)
def test_a_client_says_nothing_about_who_it_is(name: bytes, expected: object) -> None:
    """Trust fields go, in every spelling that an application may take for them."""
    assert expected == is_trust_field(name)
    assert [(b"a", b"b")] + ([] if expected else [(name, b"v")]) == strip_trust_fields([(b"a", b"b"), (name, b"v")])


def test_one_pass_does_what_both_do() -> None:
    """`forwardable` is the two strips together, with and without something to strip."""
    plain = [(b"host", b"a"), (b"x-custom", b"b")]
    assert plain == forwardable(plain)
    more = [*plain, (b"connection", b"x-custom, upgrade"), (b"upgrade", b"websocket"), (b"x-linkspan-a", b"1")]
    assert forwardable(more) == [(b"host", b"a")]
    assert forwardable(more, keep_upgrade=True) == [(b"host", b"a"), (b"connection", b"upgrade"), more[3]]
    assert forwardable([*plain, (b"x_linkspan_a", b"1")]) == plain


def test_list_members() -> None:
    """All lines, lower-case, trimmed, empty ones left out."""
    assert list_members([b" Close ,, X-A", b"", b"\tupgrade"]) == [b"close", b"x-a", b"upgrade"]
