"""The core: files, kept registrations and checks working together on a fake catalog."""

from pathlib import Path

import trio

from agents.vm.host.core import Core, CoreSettings, spread
from agents.vm.local.forms import NodeFacts
from agents.vm.local.reconcile import Held, Register, Step
from agents.vm.local.registrar import RegistrarError


class FakeRegistrar:
    """Remembers which services it was told."""

    def __init__(self) -> None:
        self.services: set[str] = set()

    async def held(self, node: str) -> Held:
        await trio.lowlevel.checkpoint()
        assert node == "vm1"
        return Held(services={"consul": {"Service": "consul"}})

    async def apply(self, step: Step) -> None:
        await trio.lowlevel.checkpoint()
        if not isinstance(step, Register):
            raise RegistrarError("nothing is to be taken away here")
        if step.service_id:
            self.services.add(step.service_id)


async def nothing() -> None:
    """A verb that does nothing."""


async def test_files_and_kept_registrations_are_told(tmp_path: Path) -> None:
    """After a restart both are there; a service that others keep on the node is left alone."""
    folder = tmp_path / "services"
    folder.mkdir()
    (folder / "web.yaml").write_text("service: {name: web}")
    settings = CoreSettings(folder, tmp_path / "kept.json", foreign=frozenset({"consul"}))
    for turn in range(2):
        registrar = FakeRegistrar()
        core = Core(NodeFacts("vm1", "10.0.0.1"), registrar, settings, nothing)
        async with trio.open_nursery() as nursery:
            await nursery.start(core.run)
            if not turn:
                (folder / "db.yaml").write_text("service: {name: db}")
                await core.reload()
                from agents.vm.definition.values import ServiceDefinition
                from agents.vm.local.entries import Origin

                core.state.put_service(ServiceDefinition("api", "api"), Origin.API, trio.current_time())
            await core.entropy.wait_first()
            assert await core.entropy.wait_told(5)
            nursery.cancel_scope.cancel()
        assert registrar.services == {"web", "db", "api"}


async def test_a_core_without_files_reloads_nothing() -> None:
    """`reload` is always safe."""
    await Core(NodeFacts("vm1", "a"), FakeRegistrar(), CoreSettings(), nothing).reload()


def test_spread_stays_within_its_limit() -> None:
    """It spreads, and never past the limit."""
    draws = [spread(2.0) for _ in range(50)]
    assert 0 <= min(draws) < max(draws) <= 2
