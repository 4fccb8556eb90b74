"""The gateway's entry in the catalog, under virtual time."""

import msgspec
import pytest
import trio
import trio.testing

from mesh.gateway.registration import RENEW_S, TTL_S, Registrar, Registration, agent_body
from mesh.sync.client import SyncClient
from mesh.sync.link.address import HostPort
from tests.fakes.http_peer import Asked, MemoryDialler

REGISTRATION = Registration("vm-paris", HostPort("10.0.0.9", 8443), HostPort("192.0.2.1", 8443))
INNER = Registration("lab", HostPort("10.9.0.9", 8443), None, "gw-7")


class Agent:
    """Answers 200 unless told otherwise, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.forgotten = False
        self.status = 200

    async def __call__(self, asked: Asked) -> tuple[int, bytes]:
        await trio.lowlevel.checkpoint()
        self.asked.append((f"{asked.method} {asked.target}", msgspec.json.decode(asked.body) if asked.body else None))
        if self.forgotten and "/check/" in asked.target:
            return 404, b"Unknown check"
        return self.status, b"no" if self.status != 200 else b""


def test_what_is_registered_with_an_agent():
    """Kind, LAN address as its own, WAN address tagged, network as meta, a TTL check that starts passing."""
    assert agent_body(REGISTRATION) == {
        "ID": "mesh-gateway",
        "Name": "mesh-gateway",
        "Kind": "mesh-gateway",
        "Address": "10.0.0.9",
        "Port": 8443,
        "TaggedAddresses": {
            "lan": {"Address": "10.0.0.9", "Port": 8443},
            "wan": {"Address": "192.0.2.1", "Port": 8443},
        },
        "Meta": {"linkspan-network": "vm-paris"},
        "Check": {"CheckID": "service:mesh-gateway", "Name": "the gateway serves", "TTL": "15s", "Status": "passing"},
    }


def test_a_gateway_without_wan_side():
    """It only lets calls out: no WAN address is tagged."""
    assert agent_body(INNER)["TaggedAddresses"] == {"lan": {"Address": "10.9.0.9", "Port": 8443}}


async def test_the_entry_is_kept_alive_and_taken_out(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock):
    """Registered once, then its check is renewed well within its TTL, and withdrawn at the end."""
    agent = Agent()
    registrar = Registrar(SyncClient([MemoryDialler(nursery, agent)]), REGISTRATION, lambda: 0.0)
    nursery.start_soon(registrar.run)
    await trio.sleep(RENEW_S * 3 + 1)
    await registrar.withdraw()
    assert [path for path, _ in agent.asked] == [
        "PUT /v1/agent/service/register",
        *["PUT /v1/agent/check/pass/service:mesh-gateway"] * 3,
        "PUT /v1/agent/service/deregister/mesh-gateway",
    ]
    assert agent.asked[0][1] == agent_body(REGISTRATION)
    assert TTL_S > 2 * RENEW_S
    await trio.sleep(100)
    assert len(agent.asked) == 5
    assert autojump_clock.current_time() > 100
    nursery.cancel_scope.cancel()


async def test_an_agent_that_forgot_is_told_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
):
    """A restarted agent does not know the check: the gateway registers anew within seconds."""
    agent = Agent()
    nursery.start_soon(Registrar(SyncClient([MemoryDialler(nursery, agent)]), REGISTRATION, lambda: 0.0).run)
    await trio.sleep(1)
    agent.forgotten = True
    await trio.sleep(RENEW_S + 1)
    assert [path for path, _ in agent.asked].count("PUT /v1/agent/service/register") == 2
    assert "is not renewed" in caplog.text
    assert autojump_clock.current_time() < 60
    nursery.cancel_scope.cancel()


async def test_an_agent_that_is_away_is_asked_again(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock):
    """The gateway goes on and registers when the agent is there."""
    agent = Agent()
    dialler = MemoryDialler(nursery, agent)
    dialler.up = False
    nursery.start_soon(Registrar(SyncClient([dialler]), INNER, lambda: 0.0).run)
    await trio.sleep(120)
    dialler.up = True
    await trio.sleep(RENEW_S + 1)
    path, body = agent.asked[0]
    assert path == "PUT /v1/agent/service/register"
    assert body == agent_body(INNER)
    assert autojump_clock.current_time() > 120
    nursery.cancel_scope.cancel()


async def test_withdrawing_may_fail(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture):
    """The entry lapses anyway; the log says so."""
    agent = Agent()
    agent.status = 403
    await Registrar(SyncClient([MemoryDialler(nursery, agent)]), INNER, lambda: 0.0).withdraw()
    assert agent.asked == [("PUT /v1/agent/service/deregister/gw-7", None)]
    assert "it will lapse" in caplog.text
