"""Reading the configuration again: all that can be applied, or nothing."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.server.config.document import ConfigError
from catalog.server.config.read import Loaded, load
from catalog.server.config.reload import Watched

log = logging.getLogger("linkspan.test")


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    """The level of logging as it was."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


async def test_the_level_is_applied_and_the_rest_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Back to the old one when the file says nothing any more."""
    file, before = tmp_path / "config.json", logging.getLogger().level
    file.write_text("{}")
    watched = Watched(tmp_path, load(tmp_path), log)
    file.write_text(json.dumps({"log_level": "error", "node_name": "other", "encrypt": "k"}))
    with caplog.at_level(logging.WARNING, "linkspan.test"):
        await watched.reload()
        assert logging.getLogger().level == logging.ERROR
        await watched.reload()
    assert [record.message for record in caplog.records] == [
        "these settings take a restart: node_name",
        "these settings have no counterpart here and are ignored: encrypt",
    ]
    file.write_text("{}")
    await watched.reload()
    assert logging.getLogger().level == before


async def test_a_bad_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Raised to a caller, logged at a signal; a folder that is gone, too."""
    (tmp_path / "config.json").write_text("{}")
    watched = Watched(tmp_path, load(tmp_path), log)
    (tmp_path / "config.json").write_text('{"log_level": "loud"}')
    with pytest.raises(ConfigError, match="log_level"):
        await watched.reload()
    await watched.reload_at_signal()
    assert "log_level" in caplog.text
    await Watched(tmp_path / "gone", Loaded(), log).reload_at_signal()
    assert "No such file" in caplog.text


async def test_without_a_directory_there_is_nothing_to_read() -> None:
    """And nothing fails."""
    await Watched(None, Loaded(), log).reload()
