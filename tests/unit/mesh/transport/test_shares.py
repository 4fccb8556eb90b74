"""Shares: one alone gets half, and there is always something for who comes new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.transport.shares import Shares, source_of


def test_one_gets_half_and_the_next_half_of_the_rest() -> None:
    """And what is given back can be taken again."""
    shares = Shares(16)
    assert [who for who in "aaaaaaaaaabbbbbbc" if shares.take(who)] == list("aaaaaaaabbbbc")
    shares.give_back("a")
    assert shares.take("c")


@given(st.lists(st.integers(0, 3)))
def test_it_is_never_overdrawn(asks: list[int]) -> None:
    """Whatever is asked; all given back is as at the beginning."""
    shares = Shares(9)
    taken = [who for who in asks if shares.take(who)]
    assert shares.total == len(taken) <= 9
    for who in taken:
        shares.give_back(who)
    assert shares.total == 0
    assert shares.take(0)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2"),
        ("2001:db8::6", "2001:db8:0:0"),
        ("fe80::1%eth0", "fe80:0:0:0"),
    ],
)
def test_ipv6_counts_by_network(address: str, source: str) -> None:
    """A host has every address of its /64."""
    assert source_of(address) == source
