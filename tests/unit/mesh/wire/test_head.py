"""Heads: every rule of validation, framing, upgrade and responses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.wire.head import (
    CHUNKED,
    UNTIL_CLOSE,
    Fields,
    HeadError,
    ValidHead,
    validate_head,
    validate_response,
    validate_trunk_head,
    validate_trunk_response,
)

HOST = (b"Host", b"Api.internal:8080")


def head(
    *fields: tuple[bytes, bytes],
    method: bytes = b"GET",
    target: bytes = b"/",
    version: str = "1.1",
    host: tuple[bytes, bytes] | None = HOST,
) -> ValidHead:
    return validate_head(method, target, version, [host, *fields] if host else list(fields))


def status_of(*fields: tuple[bytes, bytes], **parts: Any) -> int:
    with pytest.raises(HeadError) as caught:
        head(*fields, **parts)
    return caught.value.status


def test_a_plain_request() -> None:
    """No body, kept alive, lower-case names, host without port."""
    valid = head((b"Accept", b"*/*"), target=b"/a?b")
    assert (valid.method, valid.target, valid.host) == (b"GET", b"/a?b", b"api.internal")
    assert valid.fields == [(b"host", b"Api.internal:8080"), (b"accept", b"*/*")]
    assert (valid.length, valid.keep_alive, valid.upgrade, valid.expect_continue) == (0, True, b"", False)


@pytest.mark.parametrize(
    ("fields", "version", "expected"),
    [
        ([(b"Content-Length", b"5")], "1.1", 5),
        ([(b"Content-Length", b"007")], "1.1", 7),
        ([(b"Content-Length", b"5")], "1.0", 5),
        ([(b"Transfer-Encoding", b"chunked")], "1.1", CHUNKED),
        ([(b"Transfer-Encoding", b"Chunked")], "1.1", CHUNKED),
    ],
)
def test_framing(fields: Fields, version: str, expected: object) -> None:
    """A length, or chunked on HTTP/1.1."""
    assert expected == head(*fields, version=version).length


@pytest.mark.parametrize(
    "value",
    [b"", b"+5", b"-5", b"5,5", b"5, 5", b"1_0", b"0x5", b" 5", b"5 ", b"5.0", b"9" * 17, b"\xb2", b"1000000000000001"],
)
def test_a_content_length_is_one_decimal_number(value: bytes) -> None:
    """Anything else is refused, not read kindly."""
    assert status_of((b"Content-Length", value)) == 400


@pytest.mark.parametrize(
    ("fields", "version", "status"),
    [
        ([(b"Content-Length", b"4"), (b"Transfer-Encoding", b"chunked")], "1.1", 400),
        ([(b"Content-Length", b"5"), (b"Content-Length", b"5")], "1.1", 400),
        ([(b"Transfer-Encoding", b"chunked")], "1.0", 400),
        ([(b"Transfer-Encoding", b"gzip, chunked")], "1.1", 501),
        ([(b"Transfer-Encoding", b"chunked, identity")], "1.1", 501),
        ([(b"Transfer-Encoding", b"xchunked")], "1.1", 501),
        ([(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")], "1.1", 501),
        ([(b"Transfer-Encoding", b"")], "1.1", 501),
        ([(b"Expect", b"200-ok")], "1.1", 417),
        ([(b"Connection", b"close, Content-Length")], "1.1", 400),
        ([(b"Connection", b"Host")], "1.1", 400),
        ([(b"Connection", b"x-forwarded-client-cert")], "1.1", 400),
        ([(b"Connection", b"Authorization")], "1.1", 400),
        ([(b"Connection", b"upgrade"), (b"Upgrade", b"websocket"), (b"Content-Length", b"5")], "1.1", 400),
        ([(b"A", b"x\ny")], "1.1", 400),
        ([(b"A", b"x")] * 100, "1.1", 431),
    ],
)
def test_ambiguous_heads_are_refused(fields: Fields, version: str, status: int) -> None:
    """Nothing that two parsers could read in two ways passes."""
    assert status == status_of(*fields, version=version)


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "9.9", "", "1.10"])
def test_versions(version: str) -> None:
    """Only 1.0 and 1.1."""
    assert status_of(version=version) == 505


@pytest.mark.parametrize(
    "host",
    [b"", b"a/b", b"a@b", b"a b", b"a,b", b"a:b", b"a:99999", b"a:", b"-a", b".a", b"a\\b", b"a?b", b"a#b", b"[::1", b"[x]", b"a" * 255, b"\xc3\xa9"],
)  # fmt: skip
def test_a_host_is_a_name_or_address_with_a_port(host: bytes) -> None:
    """Whatever else could be taken for a second host or a path is refused."""
    assert status_of(host=(b"Host", host)) == 400


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"API", b"api"),
        (b"api.", b"api"),
        (b"a_b.c:65535", b"a_b.c"),
        (b"[::1]:80", b"[::1]"),
        (b"10.0.0.1:80", b"10.0.0.1"),
    ],
)
def test_the_host_is_compared_in_one_spelling(value: bytes, expected: object) -> None:
    """Lower case, without port and closing dot."""
    assert expected == head(host=(b"Host", value)).host


def test_exactly_one_host() -> None:
    """None and two are refused, also on HTTP/1.0."""
    assert status_of(host=None) == 400
    assert status_of(host=None, version="1.0") == 400
    assert status_of((b"host", b"Api.internal:8080")) == 400


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"GET", b"http://api.internal:8080/x?y", b"/x?y"),
        (b"GET", b"HTTPS://API.INTERNAL:8080/x", b"/x"),
        (b"GET", b"http://api.internal:8080", b"/"),
        (b"GET", b"http://api.internal:8080?q", b"/?q"),
        (b"OPTIONS", b"http://api.internal:8080", b"*"),
        (b"OPTIONS", b"*", b"*"),
        (b"GET", b"//evil/x", b"//evil/x"),
    ],
)
def test_target_forms(method: bytes, target: bytes, expected: object) -> None:
    """Origin, absolute with the Host's authority, and the asterisk of OPTIONS; all become origin form."""
    assert expected == head(method=method, target=target).target


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        (b"GET", b"http://other/x", 400),
        (b"GET", b"http://api.internal/x", 400),
        (b"GET", b"http://u@api.internal:8080/x", 400),
        (b"GET", b"ftp://api.internal:8080/x", 400),
        (b"GET", b"api.internal:8080", 400),
        (b"GET", b"*", 400),
        (b"GET", b"", 400),
        (b"GET", b"x", 400),
        (b"CONNECT", b"api.internal:8080", 501),
        (b"CONNECT", b"/", 501),
        (b"G T", b"/", 400),
        (b"", b"/", 400),
        (b"G\r\n", b"/", 400),
        (b"A" * 33, b"/", 400),
    ],
)
def test_targets_and_methods_that_are_refused(method: bytes, target: bytes, status: int) -> None:
    """Authority form, CONNECT, another host than Host says, userinfo, methods that are no token."""
    assert status == status_of(method=method, target=target)


def test_unknown_methods_pass_as_tokens() -> None:
    """We take any token; llhttp refuses what it does not know before we see it."""
    assert head(method=b"FOO").method == b"FOO"
    assert head(method=b"get").method == b"get"


@pytest.mark.parametrize(
    ("version", "connection", "expected"),
    [
        ("1.1", b"", True), ("1.1", b"close", False), ("1.1", b"Keep-Alive, Close", False), ("1.1", b"x", True),
        ("1.0", b"", False), ("1.0", b"keep-alive", True), ("1.0", b"close", False),
    ],
)  # fmt: skip
def test_keep_alive(version: str, connection: bytes, expected: object) -> None:
    """Default on for 1.1, off for 1.0; close always wins."""
    assert expected == head((b"Connection", connection), version=version).keep_alive


@pytest.mark.parametrize(
    ("connection", "upgrade", "version", "expected"),
    [
        (b"Upgrade", b"WebSocket", "1.1", b"websocket"),
        (b"keep-alive, upgrade", b"websocket", "1.1", b"websocket"),
        (b"keep-alive", b"websocket", "1.1", b""),
        (b"upgrade", b"websocket", "1.0", b""),
        (b"upgrade, http2-settings", b"h2c", "1.1", b""),
        (b"upgrade", b"websocket, h2c", "1.1", b""),
        (b"upgrade", b"a b", "1.1", b""),
        (b"upgrade", b"", "1.1", b""),
    ],
)
def test_upgrade(connection: bytes, upgrade: bytes, version: str, expected: object) -> None:
    """One protocol, listed in Connection, on HTTP/1.1, never h2c."""
    assert expected == head((b"Connection", connection), (b"Upgrade", upgrade), version=version).upgrade


def test_expect_continue() -> None:
    """The one expectation that is met, on 1.1."""
    assert head((b"Expect", b"100-Continue")).expect_continue
    assert not head((b"Expect", b"100-continue"), version="1.0").expect_continue


@pytest.mark.parametrize(
    "name",
    [b"connection", b"Transfer-Encoding", b"keep-alive", b"te", b"proxy-connection", b"trailer", b":path", b"a\r\nb"],
)
def test_a_trunk_head_holds_no_connection_fields(name: bytes) -> None:
    """A hostile peer with a certificate can frame nothing of its own."""
    with pytest.raises(HeadError):
        validate_trunk_head(b"GET", b"/", [HOST, (name, b"x")])


def test_a_trunk_head() -> None:
    """Length announced or ended by END, upgrade as a field, one host, all checks of the target."""
    assert validate_trunk_head(b"GET", b"/", [HOST]).length == CHUNKED
    assert validate_trunk_head(b"PUT", b"/", [HOST, (b"content-length", b"3")]).length == 3
    assert validate_trunk_head(b"GET", b"/", [HOST, (b"upgrade", b"websocket")]).upgrade == b"websocket"
    for method, target, fields in (
        (b"GET", b"/", []),
        (b"GET", b"x", [HOST]),
        (b"CONNECT", b"/", [HOST]),
        (b"GET", b"/", [HOST, (b"content-length", b"3"), (b"content-length", b"3")]),
        (b"GET", b"/" + b"a" * 62_000, [HOST]),
    ):
        with pytest.raises(HeadError):
            validate_trunk_head(method, target, fields)


@pytest.mark.parametrize(
    ("status", "version", "fields", "method", "length", "keep"),
    [
        (200, "1.1", [(b"Content-Length", b"5")], b"GET", 5, True),
        (200, "1.1", [(b"Transfer-Encoding", b"chunked")], b"GET", CHUNKED, True),
        (200, "1.1", [], b"GET", UNTIL_CLOSE, False),
        (200, "1.0", [(b"Content-Length", b"5")], b"GET", 5, False),
        (200, "1.0", [(b"Content-Length", b"5"), (b"Connection", b"keep-alive")], b"GET", 5, True),
        (200, "1.1", [(b"Content-Length", b"5"), (b"Connection", b"close")], b"GET", 5, False),
        (200, "1.1", [(b"Content-Length", b"5")], b"HEAD", 0, True),
        (204, "1.1", [], b"GET", 0, True),
        (304, "1.1", [(b"Content-Length", b"5")], b"GET", 0, True),
        (101, "1.1", [], b"GET", 0, True),
        (204, "1.1", [(b"Content-Length", b"0")], b"GET", 0, True),
        (204, "1.1", [(b"Content-Length", b"5")], b"GET", 0, False),
        (103, "1.1", [(b"Transfer-Encoding", b"chunked")], b"GET", 0, False),
    ],
)
def test_responses(status: int, version: str, fields: Fields, method: bytes, length: int, keep: bool) -> None:
    """RFC 9112 6.3: HEAD, 1xx, 204 and 304 have no body; else chunked, length, or until close."""
    valid = validate_response(status, version, fields, method)
    assert (length, keep) == (valid.length, valid.keep_alive)
    if status in {103, 204}:
        assert valid.fields == []


@pytest.mark.parametrize(
    ("status", "version", "fields"),
    [
        (200, "1.1", [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")]),
        (200, "1.1", [(b"Content-Length", b"5"), (b"Content-Length", b"6")]),
        (200, "1.1", [(b"Content-Length", b"x")]),
        (200, "1.1", [(b"Transfer-Encoding", b"gzip")]),
        (200, "1.0", [(b"Transfer-Encoding", b"chunked")]),
        (200, "0.9", []),
        (99, "1.1", []),
        (600, "1.1", []),
        (200, "1.1", [(b"a", b"x\ry")]),
    ],
)
def test_a_broken_answer_is_a_bad_gateway(status: int, version: str, fields: Fields) -> None:
    """The application's fault is 502 to the caller."""
    with pytest.raises(HeadError) as caught:
        validate_response(status, version, fields)
    assert caught.value.status == 502


def test_trunk_responses() -> None:
    """As for requests: no connection fields, one length."""
    assert validate_trunk_response(200, [(b"Content-Length", b"5")]).length == 5
    assert validate_trunk_response(200, []).length == CHUNKED
    assert validate_trunk_response(200, [(b"Content-Length", b"5")], b"HEAD").length == 0
    assert validate_trunk_response(204, [(b"content-length", b"5")]).fields == []
    assert validate_trunk_response(101, [(b"upgrade", b"websocket")]).length == 0
    for status, fields in ((200, [(b"connection", b"x")]), (42, []), (200, [(b"a", b"\0")])):
        with pytest.raises(HeadError) as caught:
            validate_trunk_response(status, fields)
        assert caught.value.status == 502


_NAMES = st.sampled_from([b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect", b"A"])
_VALUES = st.sampled_from([b"a", b"5", b"chunked", b"close", b"upgrade", b"websocket", b"100-continue"]) | st.binary(
    max_size=8
)
_TARGETS = st.sampled_from([b"/", b"*", b"http://a/", b"a:1"]) | st.binary(max_size=10)


@given(st.sampled_from([b"GET", b"OPTIONS"]) | st.binary(max_size=5), _TARGETS, st.sampled_from(["1.0", "1.1", "x"]),
       st.lists(st.tuples(_NAMES, _VALUES), max_size=5))  # fmt: skip
def test_any_head_is_valid_or_refused(method: bytes, target: bytes, version: str, fields: Fields) -> None:
    """Whatever the parser gives: a value that keeps its promises, or HeadError."""
    told: list[HeadError] = []
    for check in (
        lambda: validate_head(method, target, version, fields),
        lambda: validate_trunk_head(method, target, fields),
    ):
        try:
            valid = check()
        except HeadError as error:
            told.append(error)
            continue
        names = [name for name, _ in valid.fields]
        assert names.count(b"host") == 1
        assert not (b"content-length" in names and b"transfer-encoding" in names)
        assert valid.target[:1] in {b"/", b"*"}
        assert valid.length >= CHUNKED
    assert all(400 <= error.status <= 599 and "\n" not in error.reason for error in told)
