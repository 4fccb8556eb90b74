"""Reaching an endpoint: only over TLS, only to the service meant, and with words for what went wrong."""

import socket
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from mesh.decide.reach import GatewayMode
from mesh.model.chain import Target
from mesh.model.endpoint import Endpoint
from mesh.proxy.outbound.dialler import Dialler, UnreachableError
from mesh.proxy.settings import Timeouts
from mesh.wire.trunk_frames import ALPN
from tests.fakes.mesh_world import AUTHORITY, NETWORK, caller, dead_port, identity, instances, open_parts

TARGET = Target("api", "api")


def endpoint(port: int, network: str = NETWORK) -> Endpoint:
    return Endpoint("api", "api-0", "n0", "127.0.0.1", port, network)


def nothing(link: Any, event: Any) -> None:
    """No answer."""


async def test_a_verified_connection_keeps_itself_alive() -> None:
    """The peer is who was meant, the protocol is agreed, and a dead peer will be noticed."""
    async with instances(nothing) as (one,), open_parts("web") as parts:
        tls = await Dialler(parts, caller(), GatewayMode.REMOTE).dial(endpoint(one.port), TARGET, (ALPN,))
        assert tls.selected_alpn_protocol() == ALPN
        assert tls.version() == "TLSv1.3"
        assert tls.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        tls.close()


async def test_another_service_is_refused_by_name() -> None:
    """A valid member of the mesh that is not the service meant: both names are told."""
    async with instances(nothing, service="stranger") as (one,), open_parts("web") as parts:
        with pytest.raises(UnreachableError, match=r"svc/stranger, not .*svc/api"):
            await Dialler(parts, caller(), GatewayMode.REMOTE).dial(endpoint(one.port), TARGET, (ALPN,))


async def test_a_revoked_peer_is_refused() -> None:
    """The snapshot's roots count: a serial that they revoke is no peer."""
    revoked = AUTHORITY.roots(index=2, revoked_serials=(identity("api").leaf.serial,))
    async with instances(nothing) as (one,), open_parts("web") as parts:
        dialler = Dialler(parts, replace(caller(), roots=revoked), GatewayMode.REMOTE)
        with pytest.raises(UnreachableError, match="revoked"):
            await dialler.dial(endpoint(one.port), TARGET, (ALPN,))


async def test_nobody_there_and_no_way_there_are_told_apart() -> None:
    """A refused connection and a network without a gateway each have their own words."""
    async with open_parts("web") as parts:
        dialler = Dialler(parts, caller(), GatewayMode.REMOTE)
        with pytest.raises(UnreachableError, match="refused"):
            await dialler.dial(endpoint(dead_port()), TARGET, (ALPN,))
        with pytest.raises(UnreachableError, match="no gateway to network far"):
            await dialler.dial(endpoint(1, "far"), TARGET, (ALPN,))


async def test_a_peer_that_does_not_shake_hands_is_left(autojump_clock: trio.abc.Clock) -> None:
    """The handshake has its own time-out."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with open_parts("web", timeouts=Timeouts(handshake_s=3)) as parts:
        started_s = trio.current_time()
        with pytest.raises(UnreachableError):
            await Dialler(parts, caller(), GatewayMode.REMOTE).dial(endpoint(port), TARGET, (ALPN,))
        assert trio.current_time() - started_s == pytest.approx(3, abs=0.5)
    await listeners[0].aclose()
