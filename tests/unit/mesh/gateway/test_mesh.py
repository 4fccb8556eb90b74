"""The mesh gateway over loopback sockets: what passes, what is dropped, what is cut."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from mesh.gateway.mesh import GatewayPorts, MeshGateway
from mesh.gateway.settings import GatewayLimits, GatewaySettings
from mesh.identity.context import client_context, server_context
from mesh.model.endpoint import Endpoint, EndpointSet, Export, ExportSet, NetworkEntry, NetworkMap
from mesh.model.identity import server_sni, service_sni
from mesh.model.snapshot import Local, MeshSettings, Snapshot
from mesh.sync.holder import SnapshotHolder
from mesh.sync.link.address import HostPort
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics
from tests.fakes.authority import DATACENTER, TRUST_DOMAIN, Authority, service_uri

AUTHORITY = Authority()
ROOTS = AUTHORITY.roots()
WEB_SNI = service_sni("web", DATACENTER, TRUST_DOMAIN)
API_SNI = service_sni("api", DATACENTER, TRUST_DOMAIN)
ANY = HostPort("127.0.0.1", 0)
CLIENT = client_context(AUTHORITY.leaf(service_uri("caller")), ROOTS)


class Scene:
    """A running gateway of the network `vm` with its destinations, each an echo over TLS."""

    def __init__(self, nursery: trio.Nursery, limits: GatewayLimits) -> None:
        self.nursery = nursery
        self.metrics = Metrics()
        self.holder = SnapshotHolder(Snapshot(Local("", "vm", "", "")))
        self.limits = limits
        self.gateway: MeshGateway
        self.ports: GatewayPorts

    async def echo(self, service: str) -> int:
        """Serve `service` with its own certificate: what comes is sent back after the service's name. Returns the port."""
        context = server_context(AUTHORITY.leaf(service_uri(service)), ROOTS, ())

        async def handle(stream: trio.SocketStream) -> None:
            tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            try:
                while data := await tls.receive_some():
                    await tls.send_all(service.encode() + b":" + data)
            except trio.BrokenResourceError:
                pass
            finally:
                await trio.aclose_forcefully(tls)

        listeners = await self.nursery.start(trio.serve_tcp, handle, 0)
        port: int = listeners[0].socket.getsockname()[1]
        return port

    async def start(self, catalog: tuple[HostPort, ...] = ()) -> None:
        """Run the gateway on both sides."""
        settings = GatewaySettings("vm", ANY, ANY, catalog, self.limits)
        self.gateway = MeshGateway(settings, self.holder, self.metrics, AccessLog(None), lambda: 0.0)
        self.ports = await self.nursery.start(self.gateway.run)

    def show(self, web_port: int, *, exported: bool = True, far_gateway_port: int = 0) -> None:
        """A snapshot with `web` at home and `api` behind the gateway of the network `k8s`."""
        web = Endpoint("web", "web-1", "n", "127.0.0.1", web_port, "vm")
        far = Endpoint("mesh-gateway", "gw", "n", "127.0.0.1", far_gateway_port, "k8s")
        entries = (
            NetworkEntry("vm", EndpointSet("vm", 1), ExportSet("vm", 1, (Export("web", ("*",)),) if exported else ())),
            NetworkEntry("k8s", EndpointSet("k8s", 1, (far,)), ExportSet("k8s", 1, (Export("api", ("vm",)),))),
        )
        snapshot = Snapshot(
            Local("", "vm", DATACENTER, TRUST_DOMAIN),
            MeshSettings(DATACENTER, TRUST_DOMAIN),
            endpoints={"web": EndpointSet("web", 1, (web,))},
            networks=NetworkMap(1, entries),
        )
        self.holder.replace(snapshot)

    def metric(self, line: str) -> str:
        """The value of one line of the metrics' text."""
        self.gateway.count_bytes()
        lines = self.metrics.render().decode().splitlines()
        return next((text.rpartition(" ")[2] for text in lines if text.startswith(line + " ")), "absent")


@asynccontextmanager
async def scene(limits: GatewayLimits | None = None) -> AsyncIterator[Scene]:
    """A scene whose tasks end with it."""
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            yield Scene(nursery, limits or GatewayLimits())
            nursery.cancel_scope.cancel()


async def call(port: int, server_name: str, text: bytes = b"hello") -> bytes:
    """One exchange through the gateway, TLS end to end."""
    async with await dial(port, server_name) as stream:
        await stream.send_all(text)
        return bytes(await stream.receive_some())


async def dial(port: int, server_name: str) -> "trio.SSLStream[trio.SocketStream]":
    """A finished handshake through the gateway."""
    plain = await trio.open_tcp_stream("127.0.0.1", port)
    stream = trio.SSLStream(plain, CLIENT, server_hostname=server_name, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def is_dropped(port: int, server_name: str) -> bool:
    """Whether the gateway ends the connection before the handshake is through."""
    try:
        async with await dial(port, server_name):
            return False
    except (trio.BrokenResourceError, OSError):  # the reset may come before connect() returns
        return True


async def test_an_exported_service_is_reached_from_outside_end_to_end():
    """TLS ends at the service, not at the gateway; bytes and connections are counted by service and side."""
    async with scene() as world:
        await world.start()
        world.show(await world.echo("web"))
        async with await dial(world.ports.wan, WEB_SNI) as stream:
            await stream.send_all(b"x" * 1000)
            assert (await stream.receive_some()).startswith(b"web:")
            certificate = stream.getpeercert()
            assert certificate is not None
            assert ("URI", service_uri("web")) in certificate["subjectAltName"]
            assert world.gateway.passages_open == 1
            assert int(world.metric('linkspan_gateway_received_bytes_total{side="wan",service="web"}')) > 1000
        assert world.metric('linkspan_gateway_connections_total{side="wan",service="web"}') == "1"


async def test_two_gateways_carry_a_call_out_of_one_network_and_into_another():
    """LAN side: a service that another network exports to ours is passed to that network's gateway, which passes it in."""
    async with scene() as world:
        far = await world.echo("api")  # stands for the other network's gateway with its service behind it
        await world.start()
        world.show(1, far_gateway_port=far)
        assert await call(world.ports.lan, API_SNI) == b"api:hello"
        assert await is_dropped(world.ports.wan, API_SNI)
        assert world.metric('linkspan_gateway_dropped_total{side="wan",reason="not_exported"}') == "1"


async def test_the_catalogs_name_leads_to_the_configured_address():
    """Also before any snapshot; a configured name is looked up."""
    async with scene() as world:
        await world.start((HostPort("localhost", await world.echo("catalog")),))
        assert await call(world.ports.lan, "server.join") == b"catalog:hello"
        assert await call(world.ports.wan, server_sni(DATACENTER, TRUST_DOMAIN)) == b"catalog:hello"


@pytest.mark.parametrize(
    "name",
    ["example.org", service_sni("web", DATACENTER, "other.mesh"), service_sni("hidden", DATACENTER, TRUST_DOMAIN)],
)
async def test_unknown_names_are_dropped(name: str):
    """What is not known by name does not pass, on either side."""
    async with scene() as world:
        await world.start()
        world.show(await world.echo("web"))
        assert await is_dropped(world.ports.wan, name)
        assert await is_dropped(world.ports.lan, name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"GET / HTTP/1.1\r\n\r\n", "no_hello"), (b"", "no_hello"), (b"\x16\x03\x01\xff\xff", "no_hello")],
)
async def test_what_is_no_client_hello_is_dropped(content: bytes, reason: str):
    """Plain text, hang-ups and lengths beyond the bound are dropped and counted."""
    async with scene() as world:
        await world.start()
        async with await trio.open_tcp_stream("127.0.0.1", world.ports.wan) as stream:
            if content:
                await stream.send_all(content)
            else:
                await stream.send_eof()
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        assert world.metric(f'linkspan_gateway_dropped_total{{side="wan",reason="{reason}"}}') == "1"


async def test_a_slow_hello_is_dropped():
    """Whoever opens a connection and says nothing is dropped after the bound."""
    async with scene(GatewayLimits(hello_s=0.05)) as world:
        await world.start()
        async with await trio.open_tcp_stream("127.0.0.1", world.ports.wan) as stream:
            await stream.send_all(b"\x16")
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        assert world.metric('linkspan_gateway_dropped_total{side="wan",reason="slow_hello"}') == "1"


async def test_too_many_at_once_are_dropped():
    """The number of connections that say nothing yet is bounded."""
    async with scene(GatewayLimits(waiting_hellos=1)) as world:
        await world.start()
        async with await trio.open_tcp_stream("127.0.0.1", world.ports.wan):
            await trio.testing.wait_all_tasks_blocked(0.02)
            with pytest.raises((trio.BrokenResourceError, OSError)):  # the reset may come before connect() returns
                async with await trio.open_tcp_stream("127.0.0.1", world.ports.wan) as second:
                    await second.receive_some()
        assert world.metric('linkspan_gateway_dropped_total{side="wan",reason="overload"}') == "1"


async def test_one_source_takes_half_at_most():
    """Connections without a hello, and passages, are shared among sources: one alone gets half, another still gets in."""
    async with scene(GatewayLimits(waiting_hellos=8)) as world:
        await world.start()
        world.show(await world.echo("web"))
        silent = [await trio.open_tcp_stream("127.0.0.1", world.ports.wan) for _ in range(4)]
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert await is_dropped(world.ports.wan, WEB_SNI)
        other = await trio.open_tcp_stream("127.0.0.1", world.ports.wan, local_address="127.0.0.2")
        stream = trio.SSLStream(other, CLIENT, server_hostname=WEB_SNI, https_compatible=True)
        await stream.do_handshake()
        await stream.aclose()
        for one in silent:
            await one.aclose()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert await call(world.ports.wan, WEB_SNI) == b"web:hello"


async def test_passages_of_one_source_are_bounded():
    """What is over its share is dropped; what ends makes room again."""
    async with scene(GatewayLimits(passages=4)) as world:
        await world.start()
        world.show(await world.echo("web"))
        held = [await dial(world.ports.wan, WEB_SNI) for _ in range(2)]
        assert await is_dropped(world.ports.wan, WEB_SNI)
        await held.pop().aclose()
        while world.gateway.passages_open > 1:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert await call(world.ports.wan, WEB_SNI) == b"web:hello"
        await held.pop().aclose()


async def test_a_flood_of_unknown_names_is_told_in_few_lines(caplog: pytest.LogCaptureFixture):
    """Each is counted; the logs get one line for many."""
    async with scene() as world:
        await world.start()
        lines: list[bytes] = []
        log = world.gateway._access_log
        log._fd, log.add = 1, lines.append  # type: ignore[method-assign]
        world.show(await world.echo("web"))
        for number in range(20):
            assert await is_dropped(world.ports.wan, f"unknown-{number}.example.org")
        assert world.metric('linkspan_gateway_dropped_total{side="wan",reason="unknown_name"}') == "20"
        assert len(lines) == 1
        assert caplog.text.count("turned away") == 0


async def test_a_removed_export_cuts_live_connections():
    """The cut comes with the snapshot, is counted, and no new connection passes."""
    async with scene() as world:
        await world.start()
        port = await world.echo("web")
        world.show(port)
        async with await dial(world.ports.wan, WEB_SNI) as stream:
            world.show(port)  # the same again changes nothing
            await stream.send_all(b"a")
            assert await stream.receive_some() == b"web:a"
            world.show(port, exported=False)
            assert world.gateway.passages_open == 0
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        assert await is_dropped(world.ports.wan, WEB_SNI)
        assert world.metric('linkspan_connections_revoked_total{source="",destination="web"}') == "1"


async def test_endpoints_that_go_do_not_cut():
    """A passage lives on when its service has no healthy endpoint any more: only the export's end cuts."""
    async with scene() as world:
        await world.start()
        world.show(await world.echo("web"))
        async with await dial(world.ports.wan, WEB_SNI) as stream:
            world.holder.replace(msgspec.structs.replace(world.holder.current, endpoints={}))
            await stream.send_all(b"a")
            assert await stream.receive_some() == b"web:a"
        assert await is_dropped(world.ports.wan, WEB_SNI)


async def test_a_dead_destination_is_passed_over():
    """The next hop is tried when one cannot be reached; the failure is counted."""
    async with scene() as world:
        await world.start()
        world.show(await world.echo("web"))
        snapshot = world.holder.current
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            dead = Endpoint("web", "web-0", "n", "127.0.0.1", closed.getsockname()[1], "vm")
        endpoints = EndpointSet("web", 2, (dead, *snapshot.endpoints["web"].endpoints))
        world.holder.replace(msgspec.structs.replace(snapshot, endpoints={"web": endpoints}))
        assert await call(world.ports.wan, WEB_SNI) == b"web:hello"
        assert world.metric('linkspan_gateway_dial_failures_total{side="wan",service="web"}') in {"1", "absent"}


async def test_drain_lets_passages_end_and_takes_no_new_ones():
    """The listener closes at once, the live connection goes on, `run` ends when it has."""
    async with scene() as world:
        await world.start()
        world.show(await world.echo("web"))
        stream = await dial(world.ports.wan, WEB_SNI)
        drained = trio.Event()

        async def drain() -> None:
            await world.gateway.drain()
            drained.set()

        world.nursery.start_soon(drain)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(OSError, match="all attempts"):
            await trio.open_tcp_stream("127.0.0.1", world.ports.wan)
        await stream.send_all(b"still")
        assert await stream.receive_some() == b"web:still"
        await stream.aclose()
        await drained.wait()
        assert world.gateway.passages_open == 0


async def test_drain_cuts_what_does_not_end():
    """After the bound the rest is cut."""
    async with scene(GatewayLimits(drain_s=0.05)) as world:
        await world.start()
        world.show(await world.echo("web"))
        async with await dial(world.ports.wan, WEB_SNI) as stream:
            await world.gateway.drain()
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_drain_does_not_wait_for_passages_to_the_catalog():
    """They never end by themselves: they are cut soon, and a drain without other passages is over then."""
    async with scene(GatewayLimits(drain_s=1000, catalog_drain_s=0.01)) as world:
        await world.start((HostPort("127.0.0.1", await world.echo("catalog")),))
        async with await dial(world.ports.lan, "server.join") as stream:
            await world.gateway.drain()
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_an_address_in_use_is_an_error_at_start():
    """The gateway does not start half."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = GatewaySettings("vm", None, HostPort("127.0.0.1", taken.getsockname()[1]))
        gateway = MeshGateway(settings, SnapshotHolder(Snapshot(Local("", "vm", "", ""))), Metrics(), AccessLog(None))
        with pytest.raises(BaseExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                await nursery.start(gateway.run)
        assert caught.group_contains(OSError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use")


def test_the_client_side_is_tls13():
    """The scene itself speaks what the mesh speaks."""
    assert CLIENT.minimum_version is ssl.TLSVersion.TLSv1_3
