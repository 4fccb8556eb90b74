"""The links to the catalog: the sync client's answers and errors in the words of each room."""

import pytest
import trio

from agents.vm.api.forward import CatalogAwayError
from agents.vm.host.upstream import CatalogLink, ForwardLink
from agents.vm.local.registrar import RegistrarError
from mesh.sync.link.errors import UnreachableError
from mesh.sync.link.http import HttpAnswer


class FakeClient:
    """Keeps what it was asked; answers one thing, or is away."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes, object, float]] = []
        self.away = False

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: object = (), *, timeout_s: float = 15.0
    ) -> HttpAnswer:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise UnreachableError("refused")
        self.asked.append((method, path, body, headers, timeout_s))
        return HttpAnswer(200, (("x", "y"),), b"body")


async def test_registrations_are_json() -> None:
    """Status and body come back; an outage is the registrar's error."""
    client = FakeClient()
    link = CatalogLink(client)
    assert await link("PUT", "/v1/catalog/register", b"{}") == (200, b"body")
    assert client.asked == [("PUT", "/v1/catalog/register", b"{}", (("content-type", "application/json"),), 15.0)]
    client.away = True
    with pytest.raises(RegistrarError, match="refused"):
        await link("GET", "/")


async def test_forwarded_calls_may_take_as_long_as_a_blocking_query() -> None:
    """Headers go through; an outage is the forwarder's error."""
    client = FakeClient()
    link = ForwardLink(client)
    passed = await link("GET", "/v1/x", (("a", "b"),), b"")
    assert (passed.status, passed.headers, passed.body) == (200, (("x", "y"),), b"body")
    assert client.asked[0][4] > 600 * 17 / 16
    client.away = True
    with pytest.raises(CatalogAwayError):
        await link("GET", "/v1/x", (), b"")
