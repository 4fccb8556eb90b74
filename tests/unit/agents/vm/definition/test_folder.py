"""The folder of service files: changes seen by polling, last good definition kept."""

import os
from pathlib import Path

from agents.vm.definition.folder import Folder, FolderView, compare


def put(path: Path, text: str, tick: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(tick, tick))


def test_changes_are_seen_once(tmp_path: Path) -> None:
    """A poll without a change says nothing; a deleted file takes its services along."""
    folder = Folder(tmp_path, "vm1")
    put(tmp_path / "web.yaml", "service: {name: web, port: 1}", 1)
    (tmp_path / "notes.txt").write_text("no definition")
    first = folder.poll()
    assert first is not None
    assert list(first.services) == ["web"]
    assert folder.poll() is None
    put(tmp_path / "web.yaml", "service: {name: web, port: 2}", 2)
    second = folder.poll()
    assert second is not None
    assert compare(first, second).put_services[0].port == 2
    (tmp_path / "web.yaml").unlink()
    third = folder.poll()
    assert third is not None
    assert compare(second, third).gone_services == ("web",)


def test_a_bad_file_keeps_its_last_good_content_and_says_so(tmp_path: Path) -> None:
    """A typing mistake must not take a service away."""
    folder = Folder(tmp_path, "vm1")
    put(tmp_path / "web.yaml", "service: {name: web}", 1)
    folder.poll()
    put(tmp_path / "web.yaml", "service: {nam: web}", 2)
    view = folder.poll()
    assert view is not None
    assert list(view.services) == ["web"]
    assert "last good content stays" in view.problems[str(tmp_path / "web.yaml")]
    put(tmp_path / "web.yaml", "service: {name: web}", 3)
    mended = folder.poll()
    assert mended is not None
    assert not mended.problems


def test_an_id_belongs_to_the_first_file(tmp_path: Path) -> None:
    """The second file that defines an ID is told so."""
    put(tmp_path / "a.yaml", "service: {name: web, port: 1}", 1)
    put(tmp_path / "b.json", '{"service": {"name": "web", "port": 2}}', 1)
    view = Folder(tmp_path, "vm1").poll()
    assert view is not None
    assert view.services["web"].port == 1
    assert "already defined" in view.problems[str(tmp_path / "b.json")]


def test_a_folder_that_cannot_be_read_takes_nothing_away(tmp_path: Path) -> None:
    """A vanished folder is trouble, not a wish to deregister everything."""
    home = tmp_path / "services"
    home.mkdir()
    put(home / "web.yaml", "service: {name: web}", 1)
    folder = Folder(home, "vm1")
    folder.poll()
    home.rename(tmp_path / "elsewhere")
    view = folder.poll()
    assert view is not None
    assert list(view.services) == ["web"]
    assert "cannot be read" in view.problems[str(home)]


def test_nothing_compared_with_itself_changes() -> None:
    """Equal views need no work."""
    assert not any((compare(FolderView(), FolderView()).put_services, compare(FolderView(), FolderView()).gone_checks))
