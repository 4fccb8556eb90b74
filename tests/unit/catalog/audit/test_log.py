"""The audit log: a line a write, in a private file, bounded; a full disk stops nobody."""

import json
import logging
import resource
import stat
from pathlib import Path

import pytest

from catalog.audit.log import AuditLog


def note(log: AuditLog, path: str = "/v1/kv/a", **fields: object) -> None:
    given = {"who": "token a", "accessor": "a", "peer": "127.0.0.1", "method": "PUT", "status": 200, **fields}
    log.note(path=path, **given)  # type: ignore[arg-type]


def test_a_line_says_who_what_from_where_and_how_it_ended(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log", lambda: 1_700_000_000.25)
    note(log)
    note(log, "/v1/kv/line\nbreak", accessor="", who="node vm1", status=403)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert lines == [
        {
            "time": "2023-11-14T22:13:20.250Z",
            "who": "token a",
            "accessor": "a",
            "peer": "127.0.0.1",
            "method": "PUT",
            "path": "/v1/kv/a",
            "status": 200,
        },
        {
            "time": "2023-11-14T22:13:20.250Z",
            "who": "node vm1",
            "peer": "127.0.0.1",
            "method": "PUT",
            "path": "/v1/kv/line\nbreak",
            "status": 403,
        },
    ]


def test_the_file_is_private_also_if_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text("")
    path.chmod(0o644)
    AuditLog(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_opened_costs_no_older_ones(tmp_path: Path) -> None:
    """Who can keep it from being opened, by using up the descriptors say, must not rotate the history away by that."""
    path = tmp_path / "audit.log"
    log = AuditLog(path, max_bytes=1, kept=3)
    for number in range(4):
        note(log, f"/v1/kv/{number}")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    before = [(tmp_path / f"audit.log.{number}").read_bytes() for number in (1, 2, 3)]
    for _ in range(5):
        note(log)
    assert [(tmp_path / f"audit.log.{number}").read_bytes() for number in (1, 2, 3)] == before
    path.unlink()
    note(log, "/v1/kv/again")
    log.close()
    assert b"again" in path.read_bytes()


def test_a_line_that_was_cut_by_a_full_disk_takes_no_other_with_it(tmp_path: Path) -> None:
    """What comes after it stands on a line of its own."""
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        note(log, "/v1/kv/cut")
        note(log, "/v1/kv/lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    note(log, "/v1/kv/whole")
    log.close()
    cut, whole = path.read_bytes().splitlines()
    assert len(cut) == 20
    assert json.loads(whole)["path"] == "/v1/kv/whole"


def test_it_goes_on_where_it_ended_and_is_bounded(tmp_path: Path) -> None:
    """By size and by number; no line is ever cut."""
    path = tmp_path / "audit.log"
    for number in range(40):
        log = AuditLog(path, max_bytes=600, kept=2)
        note(log, f"/v1/kv/{number}")
        log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.log", "audit.log.1", "audit.log.2"]
    assert all(file.stat().st_size <= 600 and stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    numbers = [
        int(json.loads(line)["path"].rsplit("/", 1)[1])
        for file in (files[2], files[1], files[0])
        for line in file.read_text().splitlines()
    ]
    assert numbers == list(range(numbers[0], 40))


def test_a_long_path_is_cut(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log")
    note(log, "/" + "x" * 5000)
    log.close()
    assert (tmp_path / "audit.log").stat().st_size < 1500


def test_who_cannot_write_says_so_once_a_minute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    log = AuditLog(tmp_path / "audit.log", lambda: now[0])
    log.close()
    with caplog.at_level(logging.ERROR):
        note(log)
        note(log)
        now[0] += 61
        note(log)
    assert [record.message.count("is not written") for record in caplog.records] == [1, 1]
