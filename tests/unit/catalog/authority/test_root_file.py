"""The root on disk: made once, whole, for its owner's eyes only."""

import os
import stat
from pathlib import Path

import pytest

from catalog.authority.root_file import ROOT_FILE, AuthorityFileError, load_or_make_root


def test_made_once(tmp_path: Path, now_s: float) -> None:
    """The second start finds the first one's root; only the owner can read it."""
    data = tmp_path / "data"
    first = load_or_make_root(data, None, now_s)
    assert first.trust_domain.endswith(".consul")
    again = load_or_make_root(data, None, now_s + 1000)
    assert (again.pem, again.trust_domain) == (first.pem, first.trust_domain)
    assert again.key.private_numbers() == first.key.private_numbers()
    assert stat.S_IMODE((data / ROOT_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert [path.name for path in data.iterdir()] == [ROOT_FILE]


def test_named_trust_domain(tmp_path: Path, now_s: float) -> None:
    """A root stays with its trust domain."""
    assert load_or_make_root(tmp_path, "td.test", now_s).trust_domain == "td.test"
    assert load_or_make_root(tmp_path, "td.test", now_s).trust_domain == "td.test"
    with pytest.raises(AuthorityFileError, match=r"td\.test"):
        load_or_make_root(tmp_path, "other.test", now_s)


def test_leftover_draft(tmp_path: Path, now_s: float) -> None:
    """What a killed start left behind does not stand in the way."""
    (tmp_path / f".{ROOT_FILE}.{os.getpid()}").write_bytes(b"half")
    load_or_make_root(tmp_path, None, now_s)
    assert [path.name for path in tmp_path.iterdir()] == [ROOT_FILE]


def test_readable_by_others(tmp_path: Path, now_s: float) -> None:
    """A key that others could have read is not used."""
    load_or_make_root(tmp_path, None, now_s)
    (tmp_path / ROOT_FILE).chmod(0o640)
    with pytest.raises(AuthorityFileError, match="chmod 600"):
        load_or_make_root(tmp_path, None, now_s)


@pytest.mark.parametrize("damage", ["", "junk", "half", "mixed"])
def test_damaged(tmp_path: Path, now_s: float, damage: str) -> None:
    """A damaged file is reported, never replaced: with it the mesh's identity would be gone."""
    load_or_make_root(tmp_path, "td.test", now_s)
    path = tmp_path / ROOT_FILE
    data = path.read_text()
    if damage == "mixed":
        load_or_make_root(tmp_path / "other", "td.test", now_s)
        other = (tmp_path / "other" / ROOT_FILE).read_text()
        data = data[: data.index("-----BEGIN CERT")] + other[other.index("-----BEGIN CERT") :]
    else:
        data = {"": "", "junk": "junk", "half": data[: len(data) // 2]}[damage]
    path.write_text(data)
    with pytest.raises(AuthorityFileError, match="backup"):
        load_or_make_root(tmp_path, "td.test", now_s)
    assert path.read_text() == data
