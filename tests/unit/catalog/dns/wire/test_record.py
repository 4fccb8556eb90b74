"""Records' data."""

from catalog.dns.wire.name import encode_name
from catalog.dns.wire.query import Type
from catalog.dns.wire.record import Soa, address_record, soa_record, srv_record, txt_record

OWNER = encode_name("web.service.consul")


def test_an_address_is_a_or_aaaa_by_its_length() -> None:
    assert address_record(OWNER, b"\x0a\0\0\1", 3) == (OWNER, Type.A, 3, b"\x0a\0\0\1", b"")
    assert address_record(OWNER, bytes(16), 0).type == Type.AAAA


def test_a_weight_is_put_into_its_range() -> None:
    """RFC 2782: 0 to 65535."""
    assert srv_record(OWNER, 70_000, 80, b"\0", 0).data == b"\0\1\xff\xff\0\x50\0"
    assert srv_record(OWNER, -1, 80, b"\0", 0).data[2:4] == b"\0\0"


def test_a_long_text_is_split() -> None:
    """RFC 1035 3.3: a character string has at most 255 bytes."""
    assert txt_record(OWNER, "a=b", 0).data == b"\x03a=b"
    assert txt_record(OWNER, "", 0).data == b"\0"
    long = txt_record(OWNER, "x" * 300, 0).data
    assert (len(long), long[0], long[256]) == (302, 255, 45)


def test_a_soa_may_be_kept_as_long_as_it_says() -> None:
    """RFC 2308: the TTL of a negative answer is the SOA's minimum."""
    record = soa_record(encode_name("consul"), Soa(min_ttl_s=9), 77)
    assert record.ttl_s == 9
    assert record.name == encode_name("ns.consul")
    assert record.data.startswith(encode_name("hostmaster.consul") + (77).to_bytes(4, "big"))
