"""Tokens: shown once, kept as hashes, used once, before their time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.access.callers import Grant
from catalog.access.tokens import (
    GRANT_TABLE,
    JOIN_TABLE,
    OPERATOR_KEY,
    OPERATOR_TABLE,
    RANDOM_BYTES,
    SECRET_BYTES,
    TokenRefusedError,
    consume,
    expired_tokens,
    is_operator_token,
    join_token_id,
    make_join_token,
    make_operator_token,
    read_grant,
    redeem,
)
from catalog.state.changes import AnyChange
from catalog.state.errors import ConflictError
from catalog.state.records import Record
from catalog.state.state import State

RANDOM = bytes(range(RANDOM_BYTES))
GRANT = Grant(("web", "api"), gateway=True, network="vm-paris")
NOW_S = 1_000_000.0


def apply(state: State, change: AnyChange) -> object:
    return state.apply(change, state.index + 1, NOW_S).result


def test_operator_token() -> None:
    """The token opens, nothing else does, the state keeps no secret, and a second one is not written."""
    state = State()
    text, change = make_operator_token(RANDOM[:SECRET_BYTES])
    assert not is_operator_token(text, state.record(OPERATOR_TABLE, OPERATOR_KEY))
    assert apply(state, change) is True
    record = state.record(OPERATOR_TABLE, OPERATOR_KEY)
    assert is_operator_token(text, record)
    for wrong in ("", text[:-1], text + "x", text.upper(), "x" * 100_000):
        assert not is_operator_token(wrong, record)
    assert text.removeprefix("lso_").encode() not in state.encode()
    _, second = make_operator_token(bytes(SECRET_BYTES))
    assert apply(state, second) is False
    assert is_operator_token(text, state.record(OPERATOR_TABLE, OPERATOR_KEY))


def test_join_token() -> None:
    """A join token is redeemed for its node and grant, and consumed once."""
    state = State()
    text, token, change = make_join_token(RANDOM, "n1", GRANT, NOW_S, 3600)
    apply(state, change)
    assert text.rsplit("_", 1)[1].encode() not in state.encode()
    record = state.record(JOIN_TABLE, join_token_id(text))
    assert record is not None
    assert redeem(text, record, NOW_S + 3599) == token
    apply(state, consume(token, record))
    assert state.record(JOIN_TABLE, token.id) is None
    assert read_grant(state.record(GRANT_TABLE, "n1")) == GRANT
    with pytest.raises(ConflictError):
        apply(state, consume(token, record))


def test_lost_race_grants_nothing() -> None:
    """Who comes second changes nothing, not even the grant."""
    state = State()
    _, token, change = make_join_token(RANDOM, "n1", Grant(), NOW_S, 3600)
    apply(state, change)
    record = state.record(JOIN_TABLE, token.id)
    assert record is not None
    apply(state, consume(token, record))
    other = consume(token.__class__(token.id, token.sha256, "n1", Grant(("*",)), token.expires_s), record)
    with pytest.raises(ConflictError):
        apply(state, other)
    assert read_grant(state.record(GRANT_TABLE, "n1")) == Grant()


def test_refused_tokens() -> None:
    """Unknown, expired, wrong and damaged all get the same words."""
    text, token, change = make_join_token(RANDOM, "n1", GRANT, NOW_S, 60)
    record = Record(JOIN_TABLE, token.id, change.value)
    cases: list[tuple[str, Record | None, float]] = [
        (text, None, NOW_S),
        (text, record, NOW_S + 60),
        (text[:-1] + "A", record, NOW_S),
        (text, Record(JOIN_TABLE, token.id, b"junk"), NOW_S),
    ]
    words = set()
    for given_text, given_record, now_s in cases:
        with pytest.raises(TokenRefusedError) as caught:
            redeem(given_text, given_record, now_s)
        words.add(str(caught.value))
    assert len(words) == 1


@pytest.mark.parametrize("text", ["", "lsj_", "lsj_xyz_abc", "lso_" + "a" * 43, "lsj_0011223344556677_" + "a" * 42])
def test_no_join_token(text: str) -> None:
    """A text of another shape is refused before anything is looked up."""
    with pytest.raises(TokenRefusedError):
        join_token_id(text)


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    """Any text is an id or a refusal."""
    try:
        assert len(join_token_id(text)) == 16
    except TokenRefusedError:
        return


@pytest.mark.parametrize(
    ("node", "grant", "ttl_s"),
    [
        ("-n", Grant(), 60),
        ("n1", Grant(("We b",)), 60),
        ("n1", Grant(network="Vm Paris"), 60),
        ("n1", Grant(tuple(f"s{i}" for i in range(300))), 60),
        ("n1", Grant(), 1),
        ("n1", Grant(), 1e9),
        ("n1", Grant(), float("nan")),
    ],
)
def test_bounds(node: str, grant: Grant, ttl_s: float) -> None:
    """Names, numbers and times of a new token are bounded."""
    with pytest.raises(ValueError, match=r"must|at most"):
        make_join_token(RANDOM, node, grant, NOW_S, ttl_s)


def test_expired_tokens_are_cleared() -> None:
    """Tokens past their time are found, others stay."""
    _, old, old_change = make_join_token(RANDOM, "n1", GRANT, NOW_S, 60)
    _, new, new_change = make_join_token(RANDOM[::-1], "n2", GRANT, NOW_S, 600)
    records = [
        Record(JOIN_TABLE, old.id, old_change.value),
        Record(JOIN_TABLE, new.id, new_change.value),
        Record(JOIN_TABLE, "x", b"junk"),
    ]
    assert [change.key for change in expired_tokens(records, NOW_S + 100)] == [old.id]


def test_damaged_grant_grants_nothing() -> None:
    """What cannot be read is no grant."""
    assert read_grant(None) is None
    assert read_grant(Record(GRANT_TABLE, "n1", b"[1]")) is None
