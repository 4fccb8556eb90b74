"""The log's lines: every change comes back as it was, old lines are read, and other bytes are refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.state.changes import Batch, Entry, PutRecord, Register, decode_entry, encode_entry
from catalog.state.records import Check, Node, ServiceInstance
from mesh.model.endpoint import Health


def test_a_change_comes_back_as_it_was() -> None:
    """Bytes, enums, nested rows, unions."""
    change = Batch(
        (
            Register(Node("n", "10.0.0.1"), (ServiceInstance("web"),), (Check("c", status=Health.WARNING),)),
            PutRecord("t", "k", bytes(range(256)), cas=0),
        )
    )
    assert decode_entry(encode_entry(Entry(1.5, change))) == Entry(1.5, change)


def test_a_line_of_the_first_version_is_read() -> None:
    """The log's form is a promise: fields that were not written have their defaults."""
    line = b'{"now_s":1,"change":{"change":"register","node":{"node":"n","address":"10.0.0.1"},"services":[{"service":"web"}]}}'
    assert decode_entry(line) == Entry(1.0, Register(Node("n", "10.0.0.1"), (ServiceInstance("web"),)))


@given(st.binary(max_size=80))
def test_other_bytes_are_refused(data: bytes) -> None:
    """Any bytes are an entry or a DecodeError."""
    try:
        entry = decode_entry(data)
    except msgspec.DecodeError:
        return
    assert isinstance(entry, Entry)


def test_an_unknown_change_is_refused() -> None:
    """A change of a later version must not be skipped."""
    with pytest.raises(msgspec.DecodeError):
        decode_entry(b'{"now_s":1,"change":{"change":"later"}}')
