"""Kill -9 of the catalog while it acknowledges 1,000 registrations: every acknowledged one is there after restart."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.engine import Catalog
from catalog.state.state import State
from catalog.store.sqlite import open_sqlite

ROUNDS = 20
REGISTRATIONS = 1000
CHILD = Path(__file__).with_name("registering_child.py")


def acknowledged_until_killed(path: Path, turn: int, kill_after: int) -> tuple[set[int], int]:
    """Run the child, kill it once it has acknowledged that many; all numbers it acknowledged, and the last index it saw."""
    with subprocess.Popen([sys.executable, str(CHILD), str(path), str(turn)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(kill_after)]
        child.kill()
        # What it wrote before it died is in the pipe: acknowledged too, but for a torn last line.
        lines += [line for line in child.stdout if line.endswith(b"\n")]
    assert child.returncode == -signal.SIGKILL
    pairs = [line.split() for line in lines]
    return {int(number) for number, _ in pairs}, max(int(index) for _, index in pairs)


async def reopened(path: Path) -> State:
    store = await open_sqlite(path)
    catalog = await Catalog.open(store)
    await store.close()
    return catalog.state


@pytest.mark.slow
async def test_every_acknowledged_registration_survives_kill_9(tmp_path: Path) -> None:
    """Twenty rounds on one store, killed at another moment each: nothing lost, whole registrations only, index never back."""
    path = tmp_path / "catalog.db"
    moments = random.Random(3)
    expected: set[str] = set()
    unfinished = 0
    for turn in range(ROUNDS):
        numbers, index = acknowledged_until_killed(path, turn, moments.randint(1, REGISTRATIONS - 1))
        unfinished += len(numbers) < REGISTRATIONS
        expected |= {f"s{turn}-{number}" for number in numbers}
        state = await reopened(path)
        assert expected - state.services().keys() == set()
        assert state.index >= index
        assert all(len(state.service_checks(name)) == len(state.service(name)) == 1 for name in state.services())
    assert unfinished >= ROUNDS // 2, "the kills came too late to say anything"
