"""python-consul2's families on trio, each against the real API."""

from typing import Any

import pytest
import trio

import catalog.client as linkspan
from tests.fakes.catalog_site import Site, open_site

SERVICE = {"Service": "web", "ID": "web-1", "Port": 80, "Tags": ["v1"]}


def client_of(site: Site, **options: Any) -> linkspan.Consul:
    return linkspan.Consul("127.0.0.1", site.port, **options)


async def test_a_blocking_health_query_sees_the_change() -> None:
    """As the first line of the documentation has it."""
    async with open_site(everyone_operates=True) as site, client_of(site) as c:
        await c.catalog.register("n1", "192.0.2.1", service=SERVICE)
        index, found = await c.health.service("web")
        assert [one["Service"]["ID"] for one in found] == ["web-1"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: c.catalog.register("n2", "192.0.2.2", service={**SERVICE, "ID": "web-2"}))
            with trio.fail_after(5):
                after, found = await c.health.service("web", index=index, wait="30s")
        assert int(after) > int(index)
        assert [one["Service"]["ID"] for one in found] == ["web-1", "web-2"]


async def test_the_catalog_family() -> None:
    async with open_site(everyone_operates=True) as site, client_of(site) as c:
        check = {"Node": "n1", "CheckID": "c", "Name": "C", "Status": "passing", "ServiceID": "web-1"}
        assert await c.catalog.register("n1", "192.0.2.1", service=SERVICE, check=check, node_meta={"rack": "7"})
        assert await c.catalog.datacenters() == ["dc1"]
        assert [node["Node"] for node in (await c.catalog.nodes(node_meta={"rack": "7"}))[1]] == ["n1"]
        assert (await c.catalog.services(consistency="stale"))[1] == {"web": ["v1"]}
        assert [row["ServiceID"] for row in (await c.catalog.service("web", tag="v1", near="n1"))[1]] == ["web-1"]
        assert list((await c.catalog.node("n1"))[1]["Services"]) == ["web-1"]
        assert (await c.catalog.node("nobody"))[1] is None
        assert await c.catalog.deregister("n1", check_id="c")
        assert await c.catalog.deregister("n1", service_id="web-1")
        assert await c.catalog.deregister("n1")
        assert (await c.catalog.nodes(consistency="consistent"))[1] == []


async def test_the_health_family() -> None:
    async with open_site(everyone_operates=True) as site, client_of(site) as c:
        check = {"Node": "n1", "Name": "C", "Status": "warning", "ServiceID": "web-1"}
        await c.catalog.register("n1", "192.0.2.1", service=SERVICE, check=check)
        assert [one["CheckID"] for one in (await c.health.checks("web"))[1]] == ["C"]
        assert [one["CheckID"] for one in (await c.health.node("n1"))[1]] == ["C"]
        assert [one["CheckID"] for one in (await c.health.state("warning"))[1]] == ["C"]
        assert (await c.health.service("web", passing=True))[1] == []
        assert len((await c.health.service("web", tag="v1"))[1]) == 1


async def test_the_status_family() -> None:
    async with open_site(everyone_operates=True) as site, client_of(site) as c:
        assert await c.status.leader() == "127.0.0.1:8300"
        assert await c.status.peers() == ["127.0.0.1:8300"]


async def test_the_config_family() -> None:
    async with open_site(everyone_operates=True) as site, client_of(site) as c:
        entry = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
        assert await c.config.put(entry) is True
        assert (await c.config.get("service-defaults", "web"))["Protocol"] == "http"
        assert len(await c.config.list("service-defaults")) == 1
        assert await c.config.put(entry, cas=1) is False
        assert await c.linkspan.put_config(entry, cas=0) is False
        index = (await c.config.get("service-defaults", "web"))["ModifyIndex"]
        assert await c.linkspan.delete_config("service-defaults", "web", cas=index + 1) is False
        assert await c.config.delete("service-defaults", "web")
        assert (await c.config.get("service-defaults", "web"))[1] is None


async def test_the_connect_family_and_exact_intentions() -> None:
    async with open_site(everyone_operates=True) as site, client_of(site) as c:
        assert await c.linkspan.put_intention("web", "api", {"Action": "allow"}) is True
        assert (await c.linkspan.get_intention("web", "api"))["Action"] == "allow"
        assert len(await c.connect.intentions.list()) == 1
        assert await c.connect.intentions.check("web", "api") == {"Allowed": True}
        assert len((await c.connect.intentions.list_match("destination", "api"))["api"]) == 1
        assert await c.linkspan.delete_intention("web", "api")
        with pytest.raises(linkspan.NotFound, match="Intention not found"):
            await c.linkspan.get_intention("web", "api")
        roots = await c.connect.certificates.list()
        assert roots["TrustDomain"] == "test.consul"


async def test_tokens() -> None:
    """The client's own, and one given with a call."""
    async with open_site() as site:
        async with client_of(site) as anonymous:
            with pytest.raises(linkspan.ACLPermissionDenied):
                await anonymous.catalog.register("n1", "192.0.2.1")
            assert await anonymous.catalog.register("n1", "192.0.2.1", token=site.operator_token)
        async with client_of(site, token=site.operator_token) as operator:
            assert await operator.catalog.deregister("n1")
            made = await operator.linkspan.create_token("vm1", services=("web",), ttl="10m")
            assert made["Token"].startswith("lsj_")


async def test_bad_requests_raise_with_the_catalogs_words() -> None:
    async with open_site(everyone_operates=True) as site, client_of(site) as c:
        with pytest.raises(linkspan.BadRequest, match=r"unknown field .Service\.Prt"):
            await c.catalog.register("n1", "192.0.2.1", service={"Service": "web", "Prt": 1})
        with pytest.raises(linkspan.ConsulException, match="No path to datacenter"):
            await c.catalog.nodes(dc="nowhere")


async def test_an_argument_that_it_does_not_take_is_an_error() -> None:
    """A misspelt option must not pass for its default."""
    with pytest.raises(TypeError, match="verfy"):
        linkspan.Consul(verfy=False)  # type: ignore[call-arg]
