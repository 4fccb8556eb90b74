"""The leaf on disk."""

import stat
from pathlib import Path

import pytest

from mesh.identity.keep import FILE_NAME, KeptLeafError, LeafStore
from tests.fakes.authority import Authority, service_uri

LEAF = Authority().leaf(service_uri("web"))


def test_what_is_saved_is_loaded(tmp_path: Path):
    """A leaf survives a restart whole, and nothing else is left in its directory."""
    store = LeafStore(tmp_path / "identity")
    assert store.load() is None
    store.save(LEAF)
    store.save(LEAF)
    assert store.load() == LEAF
    assert [path.name for path in (tmp_path / "identity").iterdir()] == [FILE_NAME]


def test_nobody_else_can_read_it(tmp_path: Path):
    """The directory is 0700 (also one that was wider before), the file 0600."""
    directory = tmp_path / "identity"
    directory.mkdir(mode=0o755)
    LeafStore(directory).save(LEAF)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / FILE_NAME).stat().st_mode) == 0o600


def test_a_key_that_others_could_read_is_not_used(tmp_path: Path):
    """A file with wider rights is refused: the key in it may be known."""
    store = LeafStore(tmp_path)
    store.save(LEAF)
    (tmp_path / FILE_NAME).chmod(0o644)
    with pytest.raises(KeptLeafError, match="may be read by others"):
        store.load()


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff", b"{" * 100, b"x" * 300_000])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, content: bytes):
    """A file that holds no leaf is named, so that it can be removed."""
    store = LeafStore(tmp_path)
    store.save(LEAF)
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(KeptLeafError, match=FILE_NAME):
        store.load()


def test_a_link_is_not_followed(tmp_path: Path):
    """A symbolic link in place of the file is refused."""
    (tmp_path / "elsewhere").write_bytes(b"{}")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeptLeafError, match="cannot read"):
        LeafStore(tmp_path).load()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path):
    """The error names the directory."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(KeptLeafError, match="cannot keep the certificate"):
        LeafStore(tmp_path / "file" / "identity").save(LEAF)
