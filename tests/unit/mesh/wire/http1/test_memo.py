"""The memory of heads: exact, bounded, and kept for what is used."""

from mesh.wire.http1.memo import MAX_BYTES, MAX_ENTRY_BYTES, Memo


def test_only_the_very_same_key_is_found() -> None:
    """One byte more is another head."""
    memo: Memo[bytes, int] = Memo()
    memo.put(b"a", 1, 1)
    assert (memo.get(b"a"), memo.get(b"b")) == (1, None)


def test_what_is_large_is_not_remembered() -> None:
    """The bound is on bytes, not only on entries."""
    memo: Memo[bytes, int] = Memo()
    memo.put(b"a", 1, MAX_ENTRY_BYTES)
    memo.put(b"b", 1, MAX_ENTRY_BYTES + 1)
    assert (memo.get(b"a"), memo.get(b"b")) == (1, None)


def test_a_flood_of_heads_is_forgotten_and_what_is_used_stays() -> None:
    """A client that sends a new head each time pushes out nothing that is asked for meanwhile."""
    memo: Memo[int, int] = Memo()
    memo.put(-1, 7, 1)
    size_bytes, most = 4096, 2 * MAX_BYTES // 4096
    for number in range(5 * most):
        memo.put(number, number, size_bytes)
        assert memo.get(-1) == 7
    assert len(memo.recent) <= most
    assert [number for number in range(4 * most) if memo.get(number) is not None] == []
