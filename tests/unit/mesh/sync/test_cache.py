"""The last-known-good on disk."""

import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.sync.cache import CacheRefusedError, ResourceCache
from mesh.wire.sync import Resource

RESOURCES = (Resource("roots", "v1", msgspec.Raw(b'{"a":1}')), Resource("mesh", "", msgspec.Raw(b"[]")))


def test_what_is_saved_is_loaded(tmp_path: Path):
    """Resources survive whole; nobody else may read them; nothing else is left behind."""
    cache = ResourceCache(tmp_path / "state" / "resources.json", "web@vm")
    assert cache.load() == ()
    cache.save(RESOURCES[:1])
    cache.save(RESOURCES)
    assert cache.load() == RESOURCES
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["resources.json"]
    assert stat.S_IMODE((tmp_path / "state" / "resources.json").stat().st_mode) == 0o600


def test_another_owner_is_refused(tmp_path: Path):
    """A state directory that was another service's is not taken over."""
    path = tmp_path / "resources.json"
    ResourceCache(path, "api@vm").save(RESOURCES)
    with pytest.raises(CacheRefusedError, match="belongs to 'api@vm'"):
        ResourceCache(path, "web@vm").load()


def test_another_format_is_refused(tmp_path: Path):
    """A newer version's file is not guessed at."""
    path = tmp_path / "resources.json"
    ResourceCache(path, "web").save(RESOURCES)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2', 1))
    with pytest.raises(CacheRefusedError, match="format 2"):
        ResourceCache(path, "web").load()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_a_damaged_file_is_refused_whole(tmp_path: Path, data: st.DataObject):
    """Cut anywhere or changed in any byte of its content, the file is refused, never half used."""
    path = tmp_path / "resources.json"
    cache = ResourceCache(path, "web")
    cache.save(RESOURCES)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    try:
        loaded = cache.load()
    except CacheRefusedError:
        return
    assert loaded == RESOURCES  # the change hit something that carries no meaning


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path):
    """Errors of the disk name the file."""
    (tmp_path / "file").write_text("x")
    cache = ResourceCache(tmp_path / "file" / "resources.json", "web")
    with pytest.raises(CacheRefusedError, match="cannot read"):
        cache.load()
    with pytest.raises(CacheRefusedError, match="cannot write"):
        cache.save(RESOURCES)
