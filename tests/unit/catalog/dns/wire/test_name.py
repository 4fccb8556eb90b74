"""Names: text to wire form and back, and pointers that cannot be made to circle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.dns.wire.name import FormatError, UnfitNameError, encode_name, labels_of, read_name, text_of


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("", b"\0"),
        (".", b"\0"),
        ("consul", b"\x06consul\0"),
        ("Web.service.consul.", b"\x03Web\x07service\x06consul\0"),
    ],
)
def test_a_text_has_one_wire_form(text: str, wire: bytes) -> None:
    """The last dot is free, letter case is kept."""
    assert encode_name(text) == wire
    assert text_of(wire) == (text.removesuffix(".") + "." if text.removesuffix(".") else ".")


@pytest.mark.parametrize("text", ["a..b", ".a", "x" * 64 + ".b", ".".join(["x" * 63] * 4)])
def test_what_is_no_name_is_refused(text: str) -> None:
    """RFC 1035 2.3.4: labels of 1 to 63 bytes, names of 255."""
    with pytest.raises(UnfitNameError):
        encode_name(text)


def test_a_pointer_leads_back() -> None:
    """RFC 1035 4.1.4: the rest of the name stands elsewhere."""
    data = b"\x06consul\0\x03web\xc0\0tail"
    assert read_name(data, 8) == (b"\x03web\x06consul\0", 14)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x03we", b"\xc0\0", b"\xc0", b"\x01a\xc0\0", b"\xc0\x05\0\0\0\0", b"\x40a\0", b"\x80a\0", b"\x01a" * 200],
)
def test_what_cannot_be_read_is_the_senders_fault(data: bytes) -> None:
    """A name that runs out, circles, points forward or is too long."""
    with pytest.raises(FormatError):
        read_name(data, 0)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_give_a_name_or_the_senders_error(data: bytes, at: int) -> None:
    try:
        name, after = read_name(data, at)
    except FormatError:
        return
    assert len(name) <= 255
    assert at < after <= len(data)
    assert all(0 < len(label) < 64 for label in labels_of(name))
