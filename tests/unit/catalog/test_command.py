"""`linkspan catalog` and `linkspan token`: flags to settings, and what is printed."""

from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from catalog.access.kubernetes import Cluster
from catalog.command import catalog, settings_of, token
from catalog.server.settings import Settings
from mesh.model.names import InvalidNameError
from tests.fakes.catalog_site import open_site


def flags(*arguments: str) -> dict[str, Any]:
    return catalog.make_context("catalog", ["--data-dir", "/data", "--node", "n1", *arguments]).params


def test_the_defaults_are_the_designs() -> None:
    """8500 on loopback, 8502 on all addresses, DNS on 8600 of loopback, dc1."""
    assert settings_of(flags()) == Settings(Path("/data"), node="n1", dns="127.0.0.1:8600")


def test_every_flag_arrives() -> None:
    made = settings_of(
        flags(
            *("--datacenter", "dc7", "--trust-domain", "mesh.example", "--http", "off", "--mesh", "192.0.2.1:8502"),
            *("--advertise", "192.0.2.1", "--max-connections-per-address", "5", "--kubernetes"),
            *("--allowed-host", "consul", "--allowed-host", "mesh.test"),
            *("--kubernetes-api", "https://k:6443", "--kubernetes-network", "k8s-east"),
            *("--kubernetes-namespace", "shop", "--kubernetes-namespace", "bank"),
            *(
                "--kubernetes-node-agent",
                "mesh/agent",
                "--kubernetes-gateway",
                "mesh/gw",
                "--publish-roots",
                "mesh/roots",
            ),
        )
    )
    assert (made.datacenter, made.trust_domain, made.http, made.mesh) == ("dc7", "mesh.example", "", "192.0.2.1:8502")
    assert (made.address, made.limits.connections_per_address) == ("192.0.2.1", 5)
    assert made.allowed_hosts == ("consul", "mesh.test")
    assert made.cluster == Cluster("k8s-east", "mesh/agent", "mesh/gw", ("shop", "bank"))
    assert (made.kubernetes.url, made.publish_roots) == ("https://k:6443", "mesh/roots")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--datacenter", "DC_1"),
        ("--trust-domain", "UPPER"),
        ("--node", "a b"),
        ("--kubernetes-network", "x_y"),
        ("--kubernetes-namespace", "A B"),
    ],
)
def test_bad_names_are_refused(arguments: tuple[str, str]) -> None:
    with pytest.raises(InvalidNameError):
        settings_of(flags("--kubernetes", "--kubernetes-api", "https://k", *arguments))


def test_a_start_that_fails_says_why() -> None:
    result = CliRunner().invoke(catalog, ["--data-dir", "/data", "--http", "0.0.0.0:0", "--mesh", "127.0.0.1:0"])
    assert result.exit_code == 1
    assert "loopback only" in result.output


async def invoke(address: str, *arguments: str, **environment: str) -> Any:
    """The command in a thread, since it runs a loop of its own."""
    runner = CliRunner()
    return await trio.to_thread.run_sync(
        lambda: runner.invoke(token, [*arguments, "--http-addr", address], env=environment)
    )


async def test_a_token_is_printed_once_with_the_command_to_join_by(tmp_path: Path) -> None:
    async with open_site() as site:
        secret = tmp_path / "operator.token"
        secret.write_text(f"{site.operator_token}\n")
        result = await invoke(
            site.address,
            *("create", "--node", "vm1", "--service", "web", "--network", "paris", "--server", "c:8502"),
            *("--token-file", str(secret)),
        )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("lsj_")
    assert len(result.stdout.splitlines()) == 1
    assert "linkspan join --server c:8502 --ca-pin sha256:" in result.stderr
    assert "--node vm1 --network paris --token-file FILE" in result.stderr
    assert result.stdout.strip() not in result.stderr


async def test_without_the_operators_token_it_is_refused() -> None:
    async with open_site() as site:
        result = await invoke(site.address, "create", "--node", "vm1")
        assert (result.exit_code, "Permission denied" in result.output) == (1, True)
        result = await invoke(site.address, "create", "--node", "vm1", LINKSPAN_TOKEN="lso_wrong")
        assert (result.exit_code, "ACL not found" in result.output) == (1, True)


def test_a_secret_is_never_an_argument() -> None:
    """No option takes a token's text: every process of the machine can read arguments."""
    options = [name for parameter in token.commands["create"].params for name in parameter.opts]
    assert "--token" not in options


async def test_the_operator_revokes_and_withdraws(tmp_path: Path) -> None:
    """Both need the operator's token; a withdrawal without a node to it says so."""
    async with open_site() as site:
        secret = tmp_path / "operator.token"
        secret.write_text(site.operator_token)
        with_token = ("--token-file", str(secret))
        refused = await invoke(site.address, "revoke", "--serial", "a1")
        done = await invoke(site.address, "revoke", "--serial", "A1", *with_token)
        unknown = await invoke(site.address, "withdraw", "--node", "vm1", *with_token)
        await invoke(site.address, "create", "--node", "vm1", *with_token)
        withdrawn = await invoke(site.address, "withdraw", "--node", "vm1", *with_token)
    assert [one.exit_code for one in (refused, done, unknown, withdrawn)] == [1, 0, 1, 0]
    assert "Permission denied" in refused.output
