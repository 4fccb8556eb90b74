"""Reading the configuration again: all that can be applied, or nothing."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.vm.api.call import CallError
from agents.vm.config.reload import Reloader, log
from catalog.server.config.read import Loaded, load
from catalog.server.config.reload import Watched


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    """The level of logging as it was."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


class Definitions:
    """Counts how often the services and checks were read again."""

    count = 0

    async def __call__(self) -> None:
        self.count += 1


async def test_what_can_be_applied_is_and_the_rest_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The level at once, definitions through the agent, a restart for the rest; what is ignored now is said once."""
    file, definitions = tmp_path / "config.json", Definitions()
    file.write_text("{}")
    reload = Reloader(Watched(tmp_path, load(tmp_path), log), definitions)
    file.write_text(json.dumps({"log_level": "error", "node_name": "other", "encrypt": "k"}))
    with caplog.at_level(logging.WARNING, "linkspan.dev"):
        await reload()
        await reload()
    assert logging.getLogger().level == logging.ERROR
    assert definitions.count == 2
    assert [record.message for record in caplog.records] == [
        "these settings take a restart: node_name",
        "these settings have no counterpart here and are ignored: encrypt",
    ]


async def test_a_bad_configuration_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its caller hears why (500, as Consul answers); at a signal the log does."""
    file, definitions = tmp_path / "config.json", Definitions()
    file.write_text("{}")
    reload = Reloader(Watched(tmp_path, load(tmp_path), log), definitions)
    file.write_text('{"log_level": "loud"}')
    with pytest.raises(CallError, match="log_level"):
        await reload()
    await reload.at_signal()
    assert "log_level" in caplog.text
    assert definitions.count == 0


async def test_without_a_directory_definitions_alone_are_read() -> None:
    """There is nothing else to read."""
    definitions = Definitions()
    await Reloader(Watched(None, Loaded(), log), definitions)()
    assert definitions.count == 1
