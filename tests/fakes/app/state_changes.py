"""Changes applied to a bare state, for tests of what they do. It must never be imported by anything but tests."""

import pytest

from catalog.state.changes import AnyChange
from catalog.state.errors import InvalidChangeError
from catalog.state.state import State


def do(state: State, change: AnyChange, now_s: float = 0.0) -> object:
    """Apply a change as the next index; its result."""
    return state.apply(change, state.index + 1, now_s).result


def refused(state: State, change: AnyChange) -> InvalidChangeError:
    """The refusal of a change that must leave everything as it was, index aside."""
    before = state.encode()
    with pytest.raises(InvalidChangeError) as caught:
        state.preview(change, 0.0)
    assert state.encode() == before
    return caught.value
