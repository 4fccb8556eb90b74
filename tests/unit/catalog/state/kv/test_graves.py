"""Graves: indexes of what is gone never go back, whatever is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from catalog.state.kv.graves import GRAVES, Graves


def test_a_missing_key_has_the_index_of_its_own_end() -> None:
    """The end of another key does not move it; one that was never there has the first index."""
    graves = Graves()
    graves.bury("a", 5)
    graves.bury("b", 7)
    assert (graves.of("a"), graves.of("b"), graves.of("c")) == (5, 7, 1)


def test_a_prefix_has_the_highest_below_it() -> None:
    """Or what is asked at least, if nothing newer went."""
    graves = Graves()
    for index, key in enumerate(("a/1", "a/2", "b"), start=5):
        graves.bury(key, index)
    assert [graves.under(prefix, 1) for prefix in ("a/", "a/1", "b", "c", "")] == [6, 5, 7, 1, 7]
    assert graves.under("a/", 6) == 6
    graves.lift("a/2")
    assert graves.under("a/", 1) == 5


def test_what_is_forgotten_raises_all() -> None:
    """Bounded, at the price of indexes that move early."""
    graves = Graves()
    for number in range(GRAVES + 10):
        graves.bury(f"k{number}", number + 2)
    assert len(graves.at) == GRAVES
    assert graves.floor == 11
    assert (graves.of("k0"), graves.of("never"), graves.under("x", 3)) == (11, 11, 11)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "ab", "b"])), max_size=30))
def test_a_prefix_never_goes_back_while_its_keys_come_and_go(steps: list[tuple[bool, str]]) -> None:
    """Against the plain truth: the highest index that any key below it ever had."""
    graves, live, ever = Graves(), {"a": 0, "ab": 0, "b": 0}, {"": 1, "a": 1, "ab": 1, "b": 1}
    for index, (there, key) in enumerate(steps, start=2):
        if there:
            graves.lift(key)
            live[key] = index
        elif live[key]:
            graves.bury(key, index)
            live[key] = 0
        else:
            continue
        for prefix in ever:
            if key.startswith(prefix):
                ever[prefix] = index
        for prefix, highest in ever.items():
            newest = max((at for name, at in live.items() if name.startswith(prefix)), default=1)
            assert graves.under(prefix, max(newest, 1)) == highest
