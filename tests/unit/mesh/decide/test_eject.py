"""Passive ejection as a state machine over the records."""

import pytest

from mesh.decide.balance import Candidate
from mesh.decide.eject import Outcome, is_gateway_error, record
from mesh.model.endpoint import Endpoint


def group_of(count: int) -> list[Candidate]:
    return [Candidate(Endpoint("api", str(number), "n", "10.0.0.1", number, "vm"), 0.0) for number in range(count)]


def fail(candidate: Candidate, group: list[Candidate], now_s: float, times: int = 5) -> list[bool]:
    return [record(candidate, group, now_s, failed=True) for _ in range(times)]


def test_five_in_a_row_eject_for_thirty_seconds() -> None:
    """Four do not, a success starts the count anew, the fifth ejects once."""
    group = group_of(3)
    assert fail(group[0], group, 0.0, 4) == [False] * 4
    assert not record(group[0], group, 0.0, failed=False)
    assert fail(group[0], group, 1.0) == [False] * 4 + [True]
    assert group[0].ejected_until_s == 31.0
    assert fail(group[0], group, 2.0, 6) == [False] * 6, "an ejected one is not ejected again"


def test_each_ejection_is_longer_up_to_five_minutes() -> None:
    """30 s times the number of ejections, at most 300 s."""
    group = group_of(2)
    now_s, lengths = 0.0, []
    for _ in range(12):
        fail(group[0], group, now_s)
        lengths.append(group[0].ejected_until_s - now_s)
        now_s = group[0].ejected_until_s
    assert [30.0 * n for n in range(1, 11)] + [300.0, 300.0] == lengths


def test_a_quiet_spell_is_forgiven() -> None:
    """Every 30 s in routing take one ejection off the count."""
    group = group_of(2)
    fail(group[0], group, 0.0)
    fail(group[0], group, 30.0)
    assert group[0].ejected_until_s == 90.0
    fail(group[0], group, 90.0 + 30.0)
    assert group[0].ejected_until_s == 120.0 + 60.0
    fail(group[0], group, 180.0 + 3600.0)
    assert group[0].ejected_until_s == 3780.0 + 30.0


@pytest.mark.parametrize(("size", "out"), [(1, 1), (2, 1), (10, 1), (19, 1), (20, 2), (35, 3)])
def test_at_most_a_tenth_but_always_one(size: int, out: int) -> None:
    """One may always be ejected, more only within 10 %."""
    group = group_of(size)
    assert out == sum(fail(one, group, 0.0)[-1] for one in group)


def test_one_that_may_not_be_ejected_goes_when_there_is_room() -> None:
    """The count stands, so the next failure after another came back ejects."""
    group = group_of(2)
    fail(group[0], group, 0.0)
    assert not fail(group[1], group, 1.0)[-1]
    assert record(group[1], group, 30.0, failed=True)


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        (Outcome.RESPONSE, 200, False),
        (Outcome.RESPONSE, 500, False),
        (Outcome.RESPONSE, 502, True),
        (Outcome.RESPONSE, 503, True),
        (Outcome.RESPONSE, 504, True),
        (Outcome.CONNECT_FAILURE, 0, True),
        (Outcome.RESET, 0, True),
        (Outcome.TIMEOUT, 0, True),
        (Outcome.REFUSED_STREAM, 0, False),
    ],
)
def test_gateway_errors(outcome: Outcome, status: int, expected: object) -> None:
    """502 to 504, failed connects, resets and time-outs count; an application's 500 and a full peer do not."""
    assert expected == is_gateway_error(outcome, status)
