"""The sweep: who is asked, how often, and what an error of one costs the others."""

import pytest
import trio

from mesh.transport.ring import Ring
from mesh.transport.sweep import PERIOD_S, Sweep


class Member:
    """Writes down when it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked_s: list[float] = []
        self.failures: list[Exception] = []
        self._error = error

    def on_sweep(self, now_s: float) -> None:
        self.asked_s.append(now_s)
        if self._error is not None:
            raise self._error

    def on_failure(self, error: Exception) -> None:
        self.failures.append(error)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ring(clock: Clock) -> Ring:
    """A ring that is not run: the test fires its timers."""
    await trio.lowlevel.checkpoint()
    return Ring(clock)


def pass_time(ring: Ring, clock: Clock, seconds: float) -> None:
    """Fire what falls due."""
    end_s = clock.now_s + seconds
    while clock.now_s < end_s:
        clock.now_s = min(clock.now_s + PERIOD_S, end_s)
        ring.fire(clock.now_s)


async def test_members_are_asked_every_period_until_they_are_discarded(ring: Ring, clock: Clock) -> None:
    """Each member is asked once a period with the time of the turn, and no more once it has gone."""
    sweep, member = Sweep(ring), Member()
    sweep.add(member)
    sweep.add(member)
    assert len(sweep) == 1
    pass_time(ring, clock, 1.0)
    assert member.asked_s == [100.25, 100.5, 100.75, 101.0]
    sweep.discard(member)
    sweep.discard(member)
    pass_time(ring, clock, 1.0)
    assert len(member.asked_s) == 4
    assert len(sweep) == 0
    ring.close()


async def test_an_empty_sweep_sleeps_and_wakes_for_the_next_member(ring: Ring, clock: Clock) -> None:
    """Without members no timer is kept; a later member starts it again."""
    sweep, member = Sweep(ring), Member()
    sweep.add(member)
    sweep.discard(member)
    pass_time(ring, clock, 10.0)
    assert member.asked_s == []
    sweep.add(member)
    pass_time(ring, clock, PERIOD_S)
    assert member.asked_s == [110.25]
    ring.close()


async def test_a_member_that_raises_is_failed_and_the_others_are_asked(ring: Ring, clock: Clock) -> None:
    """One member's error is its own."""
    sweep, bad, good = Sweep(ring), Member(ValueError("bad deadline")), Member()
    sweep.add(bad)
    sweep.add(good)
    pass_time(ring, clock, PERIOD_S)
    assert [str(error) for error in bad.failures] == ["bad deadline"]
    assert good.asked_s == [100.25]
    assert ring.failures == 1
    ring.close()
