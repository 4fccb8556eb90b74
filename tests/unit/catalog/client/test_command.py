"""`linkspan services`, `nodes`, `intention`, `config`, against a running catalog."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import pytest
import trio
from click.testing import CliRunner

from catalog.client.command import config, intention, nodes, services
from tests.fakes.catalog_site import Site, open_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site(everyone_operates=True) as running:
        yield running


async def invoke(site: Site, command: click.Command, *arguments: str, text: str = "") -> Any:
    """The command in a thread, since it runs a loop of its own."""
    line = [*arguments, "--http-addr", site.address]
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(command, line, input=text))


async def test_services_and_nodes_are_listed(site: Site) -> None:
    check = {"Name": "c", "Status": "critical", "ServiceID": "web-2"}
    await site.register("n1", NodeMeta={"linkspan-network": "paris"}, Service={"Service": "web", "Tags": ["v1"]})
    await site.register("n2", Service={"Service": "web", "ID": "web-2"}, Check=check)
    shown = await invoke(site, services)
    assert shown.output == "Service  Instances  Passing  Tags\nweb      2          1        v1\n"
    shown = await invoke(site, nodes)
    assert [line.split() for line in shown.output.splitlines()[1:]] == [
        ["n1", "192.0.2.1", "paris", "dc1"],
        ["n2", "192.0.2.1", "default", "dc1"],
    ]
    assert json.loads((await invoke(site, services, "--format", "json")).output)[0]["Name"] == "web"


async def test_an_intention_is_created_shown_checked_and_deleted(site: Site) -> None:
    assert (await invoke(site, intention, "create", "web", "api", "--allow")).output == "Created: web => api (allow)\n"
    again = await invoke(site, intention, "create", "web", "api", "--deny")
    assert (again.exit_code, "--replace" in again.output) == (1, True)
    assert (await invoke(site, intention, "check", "web", "api")).output == "Allowed\n"
    assert (await invoke(site, intention, "create", "web", "api", "--deny", "--replace")).exit_code == 0
    denied = await invoke(site, intention, "check", "web", "api")
    assert (denied.output, denied.exit_code) == ("Denied\n", 2)
    listed = await invoke(site, intention, "list")
    assert listed.output.splitlines()[1].split() == ["web", "deny", "api", "9"]
    assert json.loads((await invoke(site, intention, "get", "web", "api")).output)["Action"] == "deny"
    assert (await invoke(site, intention, "delete", "web", "api")).exit_code == 0
    gone = await invoke(site, intention, "get", "web", "api")
    assert (gone.exit_code, "Intention not found" in gone.output) == (1, True)


async def test_permissions_come_from_a_file(site: Site) -> None:
    await site.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"})
    text = "- Action: allow\n  HTTP: {PathPrefix: /v1, Methods: [GET]}\n"
    created = await invoke(site, intention, "create", "web", "api", "--permissions", "-", text=text)
    assert created.output == "Created: web => api (permissions)\n"
    shown = json.loads((await invoke(site, intention, "get", "web", "api")).output)
    assert shown["Permissions"][0]["HTTP"]["Methods"] == ["GET"]


@pytest.mark.parametrize("choice", [[], ["--allow", "--permissions", "-"]])
async def test_an_intention_says_one_thing(site: Site, choice: list[str]) -> None:
    assert (await invoke(site, intention, "create", "web", "api", *choice)).exit_code == 2


async def test_an_entry_is_written_read_listed_and_deleted(site: Site, tmp_path: Path) -> None:
    """From YAML and from JSON."""
    file = tmp_path / "entry.yaml"
    file.write_text("kind: service-defaults\nname: web\nprotocol: http\n")
    assert (await invoke(site, config, "write", str(file))).output == "Config entry written: service-defaults/web\n"
    body = json.dumps({"Kind": "service-defaults", "Name": "api", "Protocol": "http"})
    assert (await invoke(site, config, "write", "-", text=body)).exit_code == 0
    pair = ("--kind", "service-defaults", "--name", "web")
    assert json.loads((await invoke(site, config, "read", *pair)).output)["Protocol"] == "http"
    listed = await invoke(site, config, "list", "--kind", "service-defaults")
    assert [line.split()[0] for line in listed.output.splitlines()] == ["Name", "api", "web"]
    assert (await invoke(site, config, "delete", *pair)).output == "Config entry deleted: service-defaults/web\n"
    gone = await invoke(site, config, "read", *pair)
    assert (gone.exit_code, "no config entry" in gone.output) == (1, True)


async def test_compare_and_set_says_when_it_was_not_written(site: Site) -> None:
    body = json.dumps({"Kind": "service-defaults", "Name": "web"})
    cas = ("--cas", "--modify-index", "0")
    assert (await invoke(site, config, "write", "-", *cas, text=body)).exit_code == 0
    again = await invoke(site, config, "write", "-", *cas, text=body)
    assert (again.exit_code, "not written" in again.output) == (1, True)
    assert (await invoke(site, config, "write", "-", "--cas", text=body)).exit_code == 2


@pytest.mark.parametrize("text", ["{", "a: [", "\x00"])
async def test_a_file_that_is_neither_is_refused(site: Site, text: str) -> None:
    result = await invoke(site, config, "write", "-", text=text)
    assert (result.exit_code, "neither JSON nor YAML" in result.output) == (1, True)


async def test_the_catalogs_words_are_the_commands(site: Site) -> None:
    result = await invoke(
        site, config, "write", "-", text='{"Kind": "service-defaults", "Name": "web", "Protcol": "x"}'
    )
    assert (result.exit_code, "Protcol" in result.output) == (1, True)


def test_a_catalog_that_is_away_and_an_address_that_is_none() -> None:
    for address, words in (("127.0.0.1:1", "127.0.0.1:1"), ("ftp://x", "unknown scheme")):
        result = CliRunner().invoke(nodes, ["--http-addr", address])
        assert (result.exit_code, words in result.output) == (1, True), result.output


def test_a_token_file_that_cannot_be_read() -> None:
    result = CliRunner().invoke(nodes, ["--http-addr", "127.0.0.1:1", "--token-file", "/nowhere"])
    assert (result.exit_code, "cannot read the token" in result.output) == (1, True)
