"""Linkspan's own messages."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.api.http.errors import BadRequestError
from catalog.api.http.message import read_message
from mesh.wire.sync import SyncRequest, Want


def test_unknown_fields_are_passed_over() -> None:
    """A newer caller is understood."""
    assert read_message(b'{"wants": [{"name": "mesh", "x": 1}], "y": 2}', SyncRequest) == SyncRequest((Want("mesh"),))


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"", "decode failed"),
        (b"{}", '"wants"'),
        (b'{"wants": [{}]}', "wants"),
        (b'{"wants": 1}', '"wants"'),
        (b"[" * 200_000, "decode failed"),
    ],
)
def test_what_is_no_message_is_refused_by_name(raw: bytes, names: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_message(raw, SyncRequest)
    assert names in str(caught.value)


@given(st.binary(max_size=100))
def test_any_bytes_give_a_message_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        assert isinstance(read_message(raw, SyncRequest), SyncRequest)
