"""A side over HTTP, against the real API."""

import pytest
import trio

import catalog.client as linkspan
from agents.bridge.rules.marks import Identity
from agents.bridge.side import CONSISTENT, HttpSide, NotThereError, RefusedError, SideError, each, health_path
from tests.fakes.catalog_site import Site, open_site


def side_of(site: Site, token: str = "") -> tuple[HttpSide, linkspan.Consul]:
    client = linkspan.Consul("127.0.0.1", site.port, token=token)
    return HttpSide("from test", client), client


async def test_every_call() -> None:
    """Identity, reads plain, consistent and blocking, writes, intentions and their absence."""
    async with open_site(everyone_operates=True, with_own=True) as site:
        side, client = side_of(site)
        async with client:
            assert await side.identity() == Identity("dc1", "test.consul")
            body = {"Node": "n1", "Address": "192.0.2.1", "Service": {"ID": "web-1", "Service": "web"}}
            await side.write("/v1/catalog/register", body)
            first = await side.read(health_path("web"), CONSISTENT)
            assert [one["Service"]["ID"] for one in first.body] == ["web-1"]
            assert first.whole
            async with trio.open_nursery() as nursery:
                nursery.start_soon(side.write, "/v1/catalog/deregister", {"Node": "n1"})
                with trio.fail_after(5):
                    after = await side.read(health_path("web"), index=first.index)
            assert after.body == []
            assert after.index > first.index
            pair = {"source": "web", "destination": "api"}
            with pytest.raises(NotThereError, match="Intention not found"):
                await side.read("/v1/connect/intentions/exact", pair)
            await side.put_intention(("web", "api"), {"SourceType": "consul", "Action": "allow", "Description": "x"})
            assert (await side.read("/v1/connect/intentions/exact", pair)).body["Description"] == "x"
            await side.remove_intention(("web", "api"))
            with pytest.raises(NotThereError):
                await side.read("/v1/connect/intentions/exact", pair)


async def test_a_refusal_and_an_absence_are_told_apart() -> None:
    """A refused write says why, without the token; nobody there is no refusal."""
    async with open_site() as site:
        side, client = side_of(site, "s3cret-token")
        async with client:
            with pytest.raises(RefusedError, match="from test: PUT /v1/catalog/register: 403") as refused:
                await side.write("/v1/catalog/register", {"Node": "n1", "Address": "192.0.2.1"})
            assert "s3cret" not in str(refused.value)
    side, client = side_of(site)
    async with client:
        with pytest.raises(SideError) as gone:
            await side.read("/v1/catalog/nodes")
        assert not isinstance(gone.value, RefusedError)


async def test_each_ends_at_the_first_failure() -> None:
    """The others are cancelled, and no more than so many run side by side."""
    running = most = 0

    async def work(name: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.lowlevel.checkpoint()
        running -= 1
        if name == "bad":
            raise SideError("bad")

    await each([str(number) for number in range(20)], 3, work)
    assert most == 3
    with pytest.raises(SideError, match="bad"):
        await each(["a", "bad", "c"], 1, work)
