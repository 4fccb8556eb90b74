"""Interim responses: a few for each request, with neither body nor end."""

import pytest

from mesh.wire.trunk_events import MAX_INTERIM_HEADS, Stream, count_interim
from mesh.wire.trunk_frames import FLAG_BODY, FLAG_END, Code, TrunkError


def test_interim_responses_are_bounded() -> None:
    """One more than the bound is a flood."""
    stream = Stream(1, is_http=True)
    for _ in range(MAX_INTERIM_HEADS):
        count_interim(stream, 0)
    with pytest.raises(TrunkError) as raised:
        count_interim(stream, 0)
    assert raised.value.code is Code.FLOOD


@pytest.mark.parametrize("flags", [FLAG_END, FLAG_BODY])
def test_an_interim_response_ends_nothing(flags: int) -> None:
    """A body or an end on it breaks the protocol."""
    with pytest.raises(TrunkError) as raised:
        count_interim(Stream(1, is_http=True), flags)
    assert raised.value.code is Code.PROTOCOL
