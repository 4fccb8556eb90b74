"""Field blocks and request heads of the trunk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.wire.trunk_frames import (
    OpenedRequest,
    TrunkError,
    decode_fields,
    decode_request,
    encode_fields,
    encode_request,
)

fields = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=300)), max_size=120)


@given(fields)
def test_a_field_block_is_read_as_it_was_written(some: list[tuple[bytes, bytes]]) -> None:
    """Names and values cross unchanged, whatever bytes they hold."""
    assert decode_fields(encode_fields(some)) == some


@given(st.binary(max_size=30), st.binary(max_size=300), fields, st.binary(max_size=60), st.integers(0, 2**32 - 1))
def test_a_request_is_read_as_it_was_written(
    method: bytes, target: bytes, some: list[tuple[bytes, bytes]], trace: bytes, timeout_ms: int
) -> None:
    """Every part of an OPEN crosses unchanged."""
    block = encode_fields(some)
    request = OpenedRequest(method, target, block, trace, timeout_ms)
    payload = encode_request(method, target, block, trace, timeout_ms)
    assert decode_request(payload + b"body") == (request, b"body")


@given(st.binary(max_size=200))
def test_fuzz_a_block_is_fields_or_the_peers_error(block: bytes) -> None:
    """Any bytes give fields that encode to the same block, or the peer's error."""
    try:
        found = decode_fields(block)
    except TrunkError as error:
        assert error.is_peer
    else:
        assert encode_fields(found) == block


@given(st.binary(max_size=100))
def test_fuzz_an_open_is_a_request_or_the_peers_error(payload: bytes) -> None:
    """Any bytes give a request or the peer's error."""
    try:
        decode_request(payload)
    except TrunkError as error:
        assert error.is_peer


@pytest.mark.parametrize("some", [[(b"a", b"x" * 70_000)], [(b"a", b"b")] * 256])
def test_a_head_that_does_not_fit_is_our_error(some: list[tuple[bytes, bytes]]) -> None:
    """What cannot be written was not validated: the fault is ours."""
    with pytest.raises(TrunkError) as caught:
        encode_fields(some)
    assert not caught.value.is_peer
