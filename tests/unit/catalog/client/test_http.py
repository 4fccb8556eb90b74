"""The client's transport: time-outs, errors as python-consul2 raises them, connections, sockets, TLS."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import catalog.client as linkspan
from catalog.client.http import read_timeout_s
from mesh.model.identity import Kind
from tests.fakes.catalog_site import open_site


@pytest.mark.parametrize(
    ("params", "seconds"),
    [
        ([], 30),
        ([("wait", "600s")], 30),
        ([("index", "7")], 300 + 18.75 + 5),
        ([("index", "7"), ("wait", "10s")], 30),
        ([("index", "7"), ("wait", "160s")], 175),
        ([("index", "7"), ("wait", "10m")], 642.5),
        ([("index", 7), ("wait", "1h")], 3600 + 225 + 5),
        ([("index", "7"), ("wait", "500ms")], 30),
        ([("index", "7"), ("wait", "1m30s")], 300 + 18.75 + 5),
        ([("index", "0"), ("wait", "160s")], 175),
    ],
)
def test_an_answer_may_take_as_long_as_it_was_asked_to(params: list[tuple[str, Any]], seconds: float) -> None:
    """The wait, the sixteenth that the server may add, and slack."""
    assert read_timeout_s(params, 30) == pytest.approx(seconds)


Serve = Callable[[trio.SocketStream], Awaitable[None]]


async def served_by(nursery: trio.Nursery, serve: Serve) -> int:
    """A port on which `serve` answers each connection."""
    listeners = await nursery.start(trio.serve_tcp, serve, 0)
    port: int = listeners[0].socket.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, linkspan.BadRequest),
        (401, linkspan.ACLDisabled),
        (403, linkspan.ACLPermissionDenied),
        (405, linkspan.ClientError),
        (413, linkspan.ClientError),
        (429, linkspan.ClientError),
        (500, linkspan.ConsulException),
        (503, linkspan.ConsulException),
    ],
)
async def test_statuses_are_python_consuls_exceptions(
    status: int, error: type[Exception], nursery: trio.Nursery
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b"HTTP/1.1 %d x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nwhy" % status)

    port = await served_by(nursery, serve)
    async with linkspan.Consul("127.0.0.1", port) as client:
        with pytest.raises(error, match="why"):
            await client.catalog.nodes()
    nursery.cancel_scope.cancel()


async def test_an_answer_that_does_not_come_is_a_timeout(nursery: trio.Nursery) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    port = await served_by(nursery, serve)
    async with linkspan.Consul("127.0.0.1", port, timeout_s=0.05) as client:
        with pytest.raises(linkspan.Timeout, match="no answer"):
            await client.status.leader()
    nursery.cancel_scope.cancel()


async def test_a_catalog_that_is_away_is_said_to_be() -> None:
    """Refused, a socket file that is not there, an answer cut short."""
    async with linkspan.Consul("127.0.0.1", 1) as client:
        with pytest.raises(linkspan.UnreachableError, match=r"127\.0\.0\.1:1"):
            await client.status.leader()
    async with linkspan.Consul("unix:///nowhere.sock") as client:
        with pytest.raises(linkspan.UnreachableError, match=r"unix:///nowhere\.sock"):
            await client.status.leader()


async def test_every_concurrent_call_has_its_own_connection_up_to_the_bound() -> None:
    """A blocking query holds nobody up while there is room; beyond it calls wait their turn."""
    async with open_site(everyone_operates=True) as site:
        await site.register("n1")
        async with linkspan.Consul("127.0.0.1", site.port, connections=3) as client:
            index, _ = await client.catalog.nodes()
            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:
                    for _ in range(2):
                        nursery.start_soon(lambda: client.catalog.nodes(index=index, wait="60s"))
                    while len(site.api.parking) < 2:  # noqa: ASYNC110 - nothing happens when a query parks
                        await trio.sleep(0.002)
                    for _ in range(5):
                        assert await client.status.leader()
                    await client.catalog.register("n2", "192.0.2.2")


async def test_a_cancelled_call_leaves_the_client_whole() -> None:
    async with open_site(everyone_operates=True) as site:
        await site.register("n1")
        async with linkspan.Consul("127.0.0.1", site.port) as client:
            index, _ = await client.catalog.nodes()
            with trio.move_on_after(0.05):
                await client.catalog.nodes(index=index, wait="60s")
            assert await client.status.leader() == "127.0.0.1:8300"


async def test_over_a_unix_socket(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = str(tmp_path / "s")
    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(path)
    listening.listen()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"a"')

    nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(listening)])
    async with linkspan.Consul(f"unix://{path}") as client:
        assert await client.status.leader() == "a"
    nursery.cancel_scope.cancel()


async def test_over_mutual_tls_by_the_servers_name() -> None:
    """The mesh port, verified by the DNS name that only a catalog's certificate has."""
    async with open_site() as site:
        context = site.mesh_context(await site.leaf(Kind.NODE, "vm1"))
        context.check_hostname = True
        port = int(site.mesh_address.rpartition(":")[2])

        def client(server_name: str) -> linkspan.Consul:
            return linkspan.Consul(f"https://127.0.0.1:{port}", tls=context, server_name=server_name)

        async with client("server.dc1.test.consul") as right:
            assert await right.catalog.register("vm1", "192.0.2.1")
        async with client("web.service") as wrong:
            with pytest.raises(linkspan.UnreachableError):
                await wrong.status.leader()


def test_verification_is_on_unless_it_is_switched_off() -> None:
    from catalog.client.client import tls_context

    assert tls_context(True, None).verify_mode is ssl.CERT_REQUIRED  # noqa: FBT003 - python-consul2's argument
    assert tls_context(False, None).verify_mode is ssl.CERT_NONE  # noqa: FBT003 - same
