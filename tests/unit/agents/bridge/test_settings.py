"""Settings: what is refused before anything is asked, and that no token leaks from the environment."""

from pathlib import Path
from typing import Any

import pytest

from agents.bridge.settings import Place, SettingsError, open_side, settings_of

OPTIONS: dict[str, Any] = {
    "name": "b",
    "source": "http://127.0.0.1:1",
    "target": "http://127.0.0.1:2",
    "both": False,
    "from_token_file": None,
    "to_token_file": None,
    "from_ca_file": None,
    "to_ca_file": None,
    "services": ("w*",),
    "intentions": True,
    "connect": False,
    "hold_s": 5.0,
    "watches": 7,
    "once": False,
    "dry_run": False,
    "admin": "",
}


def test_settings_of_options(tmp_path: Path) -> None:
    """A dry run is one pass; tokens come from their files."""
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    made = settings_of({**OPTIONS, "dry_run": True, "to_token_file": token, "admin": "127.0.0.1:0"})
    assert made.once
    assert (made.source.token, made.target.token) == ("", "s3cret")
    assert (made.wanted.globs, made.wanted.hold_s, made.wanted.watches) == (("w*",), 5.0, 7)
    assert made.admin is not None


@pytest.mark.parametrize(
    "wrong",
    [{"name": "No Label"}, {"source": "ftp://x"}, {"admin": "nowhere"}, {"from_token_file": Path("/nowhere")}],
)
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        settings_of({**OPTIONS, **wrong})


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        settings_of({**OPTIONS, "from_token_file": tmp_path / "token"})


async def test_sides() -> None:
    """Without a file a side has no token at all; a CA file that is not there is the operator's fault."""
    side, client = open_side("from", Place("http://127.0.0.1:1", ""), 5)
    async with client:
        assert side.name == "from http://127.0.0.1:1"
        assert not client.token
    with pytest.raises(SettingsError, match="CA file"):
        open_side("from", Place("https://127.0.0.1:1", "", "/nowhere.pem"), 5)
