"""Keys: compares, locks, lock-delay, trees, and what moves which index."""

import pytest

from catalog.state.changes import CreateSession, DeleteKey, DeleteKeys, DestroySession, PutKey, Register
from catalog.state.errors import UnknownSubjectError
from catalog.state.limits import MAX_KEY_BYTES, MAX_VALUE_BYTES
from catalog.state.records import KeyEntry, Node, Session
from catalog.state.state import State
from tests.fakes.app.state_changes import do, refused


def with_sessions(**fields: int) -> State:
    """A state with a node and two sessions on it that rest on nothing else."""
    state = State()
    do(state, Register(Node("n1", "10.0.0.1")))
    for name in ("s1", "s2"):
        do(state, CreateSession(Session(name, "n1", **fields)))
    return state


def row(state: State, key: str = "a") -> KeyEntry:
    found = state.key(key)
    assert found is not None
    return found


def test_an_equal_put_leaves_the_index_alone() -> None:
    """Measured trap 4; other flags are another value."""
    state = State()
    for change in (PutKey("a", b"1"), PutKey("a", b"1"), PutKey("a", b"1", flags=7)):
        assert do(state, change) is True
    assert row(state) == KeyEntry("a", b"1", 7, create_index=2, modify_index=4)


def test_compare_and_set() -> None:
    """0 only creates, else the modify index must match."""
    state = State()
    assert do(state, PutKey("a", b"1", cas=5)) is False
    assert do(state, PutKey("a", b"1", cas=0)) is True
    assert do(state, PutKey("a", b"2", cas=0)) is False
    assert do(state, PutKey("a", b"2", cas=row(state).modify_index)) is True
    assert row(state).value == b"2"


def test_compare_and_delete() -> None:
    """0 never deletes what is there; a missing key is deleted already."""
    state = State()
    do(state, PutKey("a", b"1"))
    index = row(state).modify_index
    assert [do(state, DeleteKey("a", cas=cas)) for cas in (0, index + 1)] == [False, False]
    assert do(state, DeleteKey("a", cas=index)) is True
    assert do(state, DeleteKey("a", cas=index)) is True
    assert do(state, DeleteKey("a")) is True
    assert state.key("a") is None


def test_a_lock_is_held_by_one_session() -> None:
    """Consul's rules of acquire and release; each acquisition counts once."""
    state = with_sessions()
    assert do(state, PutKey("a", b"1", acquire="s1")) is True
    assert do(state, PutKey("a", b"2", acquire="s2")) is False
    assert (row(state).lock_index, row(state).session, row(state).value) == (1, "s1", b"1")
    assert do(state, PutKey("a", b"3", acquire="s1")) is True
    assert (row(state).lock_index, row(state).value) == (1, b"3")
    assert do(state, PutKey("a", b"4", release="s2")) is False
    assert do(state, PutKey("b", b"4", release="s1")) is False
    assert do(state, PutKey("a", b"4", release="s1")) is True
    assert (row(state).lock_index, row(state).session, row(state).value) == (1, "", b"4")
    assert do(state, PutKey("a", b"5", acquire="s2")) is True
    assert (row(state).lock_index, row(state).session) == (2, "s2")


def test_a_plain_put_keeps_the_lock_but_not_its_count() -> None:
    """Measured trap 7."""
    state = with_sessions()
    do(state, PutKey("a", b"1", acquire="s1"))
    do(state, PutKey("a", b"2"))
    assert (row(state).session, row(state).lock_index, row(state).value) == ("s1", 0, b"2")


def test_a_session_that_is_not_there_cannot_lock() -> None:
    state = State()
    assert isinstance(refused(state, PutKey("a", acquire="nobody")), UnknownSubjectError)


def test_a_lost_lock_cannot_be_taken_before_its_delay_is_over() -> None:
    """By the time of the change, not of any clock; a lock that was given up has none."""
    state = with_sessions(lock_delay_ns=5 * 10**9)
    do(state, PutKey("a", b"1", acquire="s1"), 100.0)
    do(state, DestroySession("s1"), 100.0)
    assert do(state, PutKey("a", b"2", acquire="s2"), 104.9) is False
    assert do(state, PutKey("a", b"2"), 104.9) is True
    assert do(state, PutKey("a", b"3", acquire="s2"), 105.0) is True
    do(state, PutKey("a", b"3", release="s2"), 106.0)
    assert do(state, PutKey("a", b"3", acquire="s2"), 106.0) is True


def test_a_clock_set_back_does_not_hold_a_lock_up() -> None:
    """An hour earlier is not within five seconds either."""
    state = with_sessions(lock_delay_ns=5 * 10**9)
    do(state, PutKey("a", b"1", acquire="s1"), 10_000.0)
    do(state, DestroySession("s1"), 10_000.0)
    assert do(state, PutKey("a", b"2", acquire="s2"), 6_400.0) is True


def test_a_tree_goes_at_once() -> None:
    """Everything that begins with the prefix, and nothing else."""
    state = State()
    for key in ("a", "a/1", "a/2", "ab", "b"):
        do(state, PutKey(key, b"x"))
    assert do(state, DeleteKeys("a/")) is True
    assert [entry.key for entry in state.keys("")] == ["a", "ab", "b"]
    assert do(state, DeleteKeys("")) is True
    assert list(state.keys("")) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (PutKey(""), "Key"),
        (PutKey("a\0b"), "Key"),
        (PutKey("ü" * MAX_KEY_BYTES), "Key"),
        (PutKey("a", b"x" * (MAX_VALUE_BYTES + 1)), "Value"),
        (PutKey("a", flags=2**64), "Flags"),
        (PutKey("a", flags=-1), "Flags"),
        (PutKey("a", cas=1, acquire="s"), "cas, acquire and release"),
        (PutKey("a", release="s", acquire="s"), "cas, acquire and release"),
    ],
)
def test_what_is_out_of_bounds_is_refused(change: PutKey, field: str) -> None:
    assert refused(State(), change).field == field


def test_the_greatest_flags_and_value_are_kept() -> None:
    """Through the snapshot, too."""
    state = State()
    do(state, PutKey("a" * MAX_KEY_BYTES, bytes(MAX_VALUE_BYTES), flags=2**64 - 1))
    assert list(State.decode(state.encode()).keys("")) == list(state.keys(""))


class Topics:
    """A state with a key outside, one inside and one beside the prefix `a/`."""

    def __init__(self) -> None:
        self.state = State()
        for key in ("a", "a/1", "b"):
            do(self.state, PutKey(key, b"x"))

    def index(self, *topic: str) -> int:
        return self.state.index_of(topic)


def test_a_key_is_not_moved_by_its_siblings() -> None:
    """Measured trap 5, also for keys that begin with it, and for a missing key when another goes."""
    scene = Topics()
    before = [scene.index("key", key) for key in ("a", "missing")]
    do(scene.state, PutKey("a/2", b"x"))
    do(scene.state, DeleteKey("a/1"))
    assert [scene.index("key", key) for key in ("a", "missing")] == before


def test_a_prefix_is_moved_by_every_key_below_it_and_by_deletes() -> None:
    """Its index is the highest of all that is and was there."""
    scene = Topics()
    assert (scene.index("keys", "a/"), scene.index("keys", "a"), scene.index("keys", "")) == (3, 3, 4)
    do(scene.state, DeleteKey("a/1"))
    assert (scene.index("keys", "a/"), scene.index("keys", "b"), scene.index("keys", "c")) == (5, 4, 1)
    do(scene.state, PutKey("a/1", b"y"))
    assert scene.index("keys", "a/") == scene.index("key", "a/1") == 6


def test_what_is_deleted_has_a_higher_index_than_it_had() -> None:
    """Never back, also in a restart's state."""
    scene = Topics()
    do(scene.state, DeleteKeys("a"))
    for state in (scene.state, State.decode(scene.state.encode())):
        assert [state.index_of(("key", key)) for key in ("a", "a/1", "b", "c")] == [5, 5, 4, 1]
        assert state.index_of(("keys", "a/")) == 5


def test_deleting_what_is_not_there_moves_nothing() -> None:
    scene = Topics()
    for change in (DeleteKey("missing"), DeleteKeys("missing/")):
        outcome = scene.state.apply(change, scene.state.index + 1, 0.0)
        assert not outcome.changed
        assert outcome.touched == frozenset()
