"""The node agent's calls: what they send, and that every failure becomes the one error that the agent tries again after."""

import json

import pytest
import trio
import trio.testing

from agents.k8s.catalog_calls import CatalogCalls
from agents.k8s.node_agent import CatalogUnavailableError
from mesh.sync.client import SyncClient
from mesh.sync.link.errors import UnreachableError


class Scripted:
    """A dialler whose connections answer from a script and note what was asked."""

    name = "script"
    host = "catalog"
    generation = 0

    def __init__(self, nursery: trio.Nursery, status: int, body: str) -> None:
        self._nursery = nursery
        self._answer = f"HTTP/1.1 {status} \r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        self.asked: list[bytes] = []

    async def dial(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.asked.append(await stream.receive_some(65536))
        await stream.send_all(self._answer)


class Away(Scripted):
    """Nobody answers."""

    async def dial(self) -> trio.abc.Stream:
        raise UnreachableError("connection refused")


async def test_a_registration_is_put(nursery: trio.Nursery) -> None:
    """Register and deregister PUT their JSON to Consul's paths."""
    server = Scripted(nursery, 200, "true")
    await CatalogCalls(SyncClient([server])).register({"Node": "n1"})
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /v1/catalog/register HTTP/1.1\r\n")
    assert json.loads(body) == {"Node": "n1"}


async def test_only_services_of_pods_are_ours(nursery: trio.Nursery) -> None:
    """What something else registered under the node is left alone."""
    services = {"a": {"Meta": {"k8s-uid": "1"}}, "gateway": {"Meta": {}}, "c": {"Meta": None}}
    server = Scripted(nursery, 200, json.dumps({"Node": {}, "Services": services}))
    assert await CatalogCalls(SyncClient([server])).pod_services("n 1") == {"a"}
    assert b"/v1/catalog/node/n%201 " in server.asked[0]


async def test_an_unknown_node_has_none(nursery: trio.Nursery) -> None:
    """The catalog answers null for a node that it does not know."""
    assert await CatalogCalls(SyncClient([Scripted(nursery, 200, "null")])).pod_services("n1") == set()


@pytest.mark.parametrize(("status", "body"), [(403, "Permission denied"), (500, "no"), (200, "{")])
async def test_every_failure_is_the_agents_error(status: int, body: str, nursery: trio.Nursery) -> None:
    """Refusals, server errors and broken answers say what was asked and what came."""
    with pytest.raises(CatalogUnavailableError, match="/v1/catalog/register"):
        await CatalogCalls(SyncClient([Scripted(nursery, status, body)])).register({"Node": "n1"})


async def test_a_catalog_that_is_away_is_the_agents_error(nursery: trio.Nursery) -> None:
    """Unreachable for a registration and for a lease alike."""
    calls = CatalogCalls(SyncClient([Away(nursery, 200, "")]))
    with pytest.raises(CatalogUnavailableError, match="refused"):
        await calls.register({})
    with pytest.raises(CatalogUnavailableError, match="refused"):
        await calls.renew_lease("n1")


async def test_a_renewal_names_the_node(nursery: trio.Nursery) -> None:
    """And a node that the catalog forgot is an error, for the log."""
    server = Scripted(nursery, 200, "true")
    await CatalogCalls(SyncClient([server])).renew_lease("n 1")
    assert server.asked[0].startswith(b"PUT /v1/linkspan/lease/n%201 HTTP/1.1\r\n")
    with pytest.raises(CatalogUnavailableError, match="404 not registered"):
        await CatalogCalls(SyncClient([Scripted(nursery, 404, "not registered")])).renew_lease("n1")


class Silent(Scripted):
    """A catalog whose machine lost its power: nothing comes back, not even a refusal."""

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.asked.append(await stream.receive_some(65536))


async def test_a_renewal_that_hangs_leaves_time_for_others(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """Three tries fit into a lease of 12 s."""
    began_s = autojump_clock.current_time()
    with pytest.raises(CatalogUnavailableError, match="no answer"):
        await CatalogCalls(SyncClient([Silent(nursery, 200, "")])).renew_lease("n1")
    assert autojump_clock.current_time() - began_s <= 12 / 3
