"""Registrations over a restart: those of the API come back with their beats, those of files do not."""

from pathlib import Path

import trio
import trio.testing

from agents.vm.definition.keys import read_struct
from agents.vm.definition.services import service_definition
from agents.vm.definition.shapes import ServiceShape
from agents.vm.definition.values import CheckDefinition, ServiceDefinition, TtlProbe
from agents.vm.local.entries import Origin
from agents.vm.local.keep import Kept, RegistrationFile, kept_of, recall_states, restore
from agents.vm.local.state import LocalState
from mesh.model.endpoint import Health


def service(**raw: object) -> ServiceDefinition:
    return service_definition(read_struct(raw, ServiceShape))


def full_state() -> LocalState:
    state = LocalState()
    state.put_service(
        service(name="web", port=80, check={"ttl": "9s"}, connect={"sidecar_service": {"port": 20000}}), Origin.API, 0
    )
    state.put_service(service(name="filed", check={"ttl": "9s"}), Origin.FILE, 0)
    state.put_check(CheckDefinition("extra", "extra", TtlProbe(9), "web"), Origin.API, 0)
    state.beat("service:web", Health.PASSING, "fine", 0)
    return state


def test_what_the_api_registered_comes_back() -> None:
    """With its sidecar, its checks and the last beats; twice is the same as once."""
    kept = kept_of(full_state())
    assert [one.id for one in kept.services] == ["web"]
    assert [check.check_id for check in kept.checks] == ["extra"]
    state = LocalState()
    for _ in range(2):
        restore(state, kept, 5)
        recall_states(state, kept, 5)
    assert sorted(state.services) == ["web", "web-sidecar-proxy"]
    assert state.services["web-sidecar-proxy"].definition.port == 20000
    assert (state.checks["service:web"].status, state.checks["service:web"].output) == (Health.PASSING, "fine")


def test_states_of_file_checks_are_recalled() -> None:
    """A restart of the agent must not make a healthy host critical until its checks have run."""
    filed = service(name="filed", check={"http": "http://x/", "interval": "60s"})
    before = LocalState()
    before.put_service(filed, Origin.FILE, 0)
    before.observe("service:filed", Health.PASSING, "well", 1)
    before.maintain("filed", "", 2, enable=True)
    kept = kept_of(before)
    assert list(kept.states) == ["service:filed"]
    after = LocalState()
    after.put_service(filed, Origin.FILE, 0)
    recall_states(after, kept, 9)
    assert (after.checks["service:filed"].status, after.checks["service:filed"].output) == (Health.PASSING, "well")


def test_a_check_without_its_service_is_left_out() -> None:
    """Its service came from a file that is gone."""
    state = LocalState()
    restore(state, Kept(checks=(CheckDefinition("c", "c", TtlProbe(9), "gone"),)), 0)
    assert not state.checks


async def test_the_file_follows_changes_and_damage_is_ignored(tmp_path: Path) -> None:
    """Written soon after a change, and once more at the end; rubbish is an empty start."""
    path = tmp_path / "registrations.json"
    state = LocalState()
    file = RegistrationFile(path, state)
    assert file.load() == Kept()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        await trio.testing.wait_all_tasks_blocked()
        state.put_service(service(name="web"), Origin.API, 0)
        with trio.fail_after(5):
            while not path.exists():
                await trio.lowlevel.checkpoint()
        state.put_service(service(name="late"), Origin.API, 0)
        nursery.cancel_scope.cancel()
    assert [one.id for one in file.load().services] == ["web", "late"]
    path.write_bytes(b"{rubbish")
    assert file.load() == Kept()


async def test_tokens_are_kept_where_nobody_else_reads(tmp_path: Path) -> None:
    """They come back with their registrations; the file is its owner's alone."""
    path, state = tmp_path / "registrations.json", LocalState()
    state.put_service(service(name="web", token="t1"), Origin.API, 0)
    file = RegistrationFile(path, state)
    file.save(kept_of(state))
    assert path.stat().st_mode & 0o777 == 0o600
    assert file.load().services[0].token == "t1"
