"""`linkspan kv`, against a running catalog."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from catalog.client.keys import kv
from tests.fakes.catalog_site import Site, open_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site(everyone_operates=True, with_own=True) as running:
        yield running


async def run(site: Site, *arguments: str, text: bytes = b"") -> Any:
    """The command in a thread, since it runs a loop of its own."""
    line = [*arguments, "--http-addr", site.address]
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(kv, line, input=text))


async def test_a_key_is_put_printed_listed_and_deleted(site: Site) -> None:
    assert (await run(site, "put", "app/port", "80", "--flags", "7")).output == "Success! Data written to: app/port\n"
    assert (await run(site, "put", "app/name")).exit_code == 0
    assert (await run(site, "get", "app/port")).output == "80\n"
    assert (await run(site, "get", "app/", "--recurse")).output == "app/name:\napp/port:80\n"
    assert (await run(site, "get", "app/port", "--base64")).output == "ODA=\n"
    assert (await run(site, "list")).output == "app/name\napp/port\n"
    assert (await run(site, "list", "--separator", "/")).output == "app/\n"
    assert (await run(site, "delete", "app/name")).output == "Success! Deleted key: app/name\n"
    assert (await run(site, "delete", "--recurse")).output == "Success! Deleted keys with prefix: \n"
    assert (await run(site, "list")).output == ""
    gone = await run(site, "get", "app/port")
    assert (gone.exit_code, "no key exists at: app/port" in gone.output) == (1, True)


async def test_details(site: Site) -> None:
    await run(site, "put", "a", "1", "--flags", "7")
    lines = (await run(site, "get", "a", "--detailed")).output.splitlines()
    shown = dict(line.split() for line in lines)
    assert (shown["Key"], shown["Flags"], shown["LockIndex"], shown["Session"], shown["Value"]) == (
        "a",
        "7",
        "0",
        "-",
        "1",
    )


async def test_a_value_of_any_bytes(site: Site, tmp_path: Path) -> None:
    """From a file or standard input, and printed as it is."""
    value = bytes(range(256))
    (tmp_path / "value").write_bytes(value)
    assert (await run(site, "put", "a", "--file", str(tmp_path / "value"))).exit_code == 0
    assert (await run(site, "put", "b", "--file", "-", text=value)).exit_code == 0
    for key in ("a", "b"):
        assert (await site.get(f"/v1/kv/{key}?raw")).content == value
        assert (await run(site, "get", key)).stdout_bytes == value + b"\n"


async def test_conditions_say_when_they_failed(site: Site) -> None:
    assert (await run(site, "put", "a", "1", "--cas", "--modify-index", "0")).exit_code == 0
    for arguments, words in (
        (("put", "a", "2", "--cas", "--modify-index", "0"), "not at that index"),
        (("delete", "a", "--cas", "--modify-index", "999"), "not at that index"),
        (("put", "a", "2", "--release", "--session", "none"), "lock is not to be had"),
        (("put", "a", "2", "--acquire", "--session", "none"), "invalid session"),
    ):
        failed = await run(site, *arguments)
        assert (failed.exit_code, words in failed.output) == (1, True), failed.output
    session = (await site.put("/v1/session/create")).json()["ID"]
    assert (await run(site, "put", "a", "2", "--acquire", "--session", session)).exit_code == 0
    assert (await run(site, "put", "a", "3", "--release", "--session", session)).exit_code == 0
    assert (await run(site, "get", "a")).output == "3\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("get",),
        ("delete",),
        ("put", "a", "1", "--cas"),
        ("delete", "a", "--cas"),
        ("put", "a", "1", "--acquire"),
        ("put", "a", "1", "--session", "s"),
        ("put", "a", "1", "--file", "-"),
        ("put", "a", "1", "--flags", "-1"),
    ],
)
def test_flags_that_do_not_go_together(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(kv, [*arguments, "--http-addr", "127.0.0.1:1"]).exit_code == 2


async def test_what_is_exported_is_imported(site: Site) -> None:
    """Consul's own form, base64 and flags; under another prefix if asked."""
    await site.put("/v1/kv/app/a?flags=7", b"\x00\xff")
    await site.put("/v1/kv/app/b", b"")
    exported = (await run(site, "export", "app/")).output
    assert json.loads(exported) == [
        {"key": "app/a", "flags": 7, "value": "AP8="},
        {"key": "app/b", "flags": 0, "value": ""},
    ]
    imported = await run(site, "import", "-", "--prefix", "copy/", text=exported.encode())
    assert imported.output == "Imported: copy/app/a\nImported: copy/app/b\n"
    copy = (await site.get("/v1/kv/copy/?recurse")).json()
    assert [(row["Key"], row["Flags"], row["Value"]) for row in copy] == [
        ("copy/app/a", 7, "AP8="),
        ("copy/app/b", 0, None),
    ]
    assert json.loads((await run(site, "export", "none")).output) == []


@pytest.mark.parametrize("text", [b"", b"{}x", b"5", b'[{"key": 1}]', b'[{"key": "a", "value": "%"}]', b'["a"]'])
async def test_a_file_that_is_no_export_is_refused(site: Site, text: bytes) -> None:
    failed = await run(site, "import", "-", text=text)
    assert (failed.exit_code, "kv export" in failed.output) == (1, True)
    assert (await site.get("/v1/kv/?keys")).status_code == 404
