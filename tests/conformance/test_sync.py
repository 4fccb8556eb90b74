"""`POST /v1/linkspan/sync` and the trust bundle, over a real socket."""

from typing import Any

import pytest
import trio

from tests.fakes.catalog_site import Site

SYNC = "/v1/linkspan/sync"
SIDECAR = {
    "Kind": "connect-proxy",
    "Service": "web-sidecar-proxy",
    "Port": 21000,
    "Proxy": {"DestinationServiceName": "web", "DestinationServiceID": "web"},
}


async def sync(site: Site, *wants: tuple[str, str], **fields: Any) -> Any:
    body = {"wants": [{"name": name, "version": version} for name, version in wants], **fields}
    answer = await site.request("POST", SYNC, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_changed_is_answered_and_what_is_held_is_not(site: Site) -> None:
    first = await sync(site, ("chain/web", ""), ("endpoints/web", ""), ("roots", ""), ("mesh", ""))
    versions = {one["name"]: one["version"] for one in first["changed"]}
    assert set(versions) == {"chain/web", "endpoints/web", "roots", "mesh"}
    again = await sync(site, *versions.items())
    assert again["changed"] == []
    await site.register("n1", Service={"Service": "web"})
    await site.register("n1", Service=SIDECAR)
    after = await sync(site, *versions.items())
    (one,) = after["changed"]
    assert one["name"] == "endpoints/web"
    assert [endpoint["port"] for endpoint in one["body"]["endpoints"]] == [21000]
    assert one["body"]["index"] <= after["index"]


async def test_a_poll_wakes_on_what_it_follows_and_sleeps_on_the_rest(site: Site) -> None:
    first = await sync(site, ("endpoints/web", ""))
    version = first["changed"][0]["version"]
    answers: list[Any] = []

    async def poll() -> None:
        answers.append(await sync(site, ("endpoints/web", version), wait_s=30.0))

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            while not len(site.api.parking):  # noqa: ASYNC110 - nothing happens when a query parks
                await trio.sleep(0.001)
            await site.register("n2", Service={"Service": "other"})
            await trio.sleep(0.1)
            assert answers == []
            await site.register("n1", Service=SIDECAR)
    assert answers[0]["changed"][0]["name"] == "endpoints/web"


async def test_a_poll_ends_with_its_wait(site: Site) -> None:
    first = await sync(site, ("mesh", ""))
    with trio.fail_after(5):
        answer = await sync(site, ("mesh", first["changed"][0]["version"]), wait_s=0.05)
    assert answer["changed"] == []


async def test_sync_renews_the_lease(site: Site) -> None:
    """Granted to a registered node, passed over for one that is not."""
    await sync(site, lease_node="n1")
    await site.register("n1")
    await sync(site, lease_node="n1")
    assert site.engine.state.lease("n1") is not None


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"{", "decode failed"),
        ({}, "wants"),
        ({"wants": [{"name": 1}]}, "wants"),
        ({"wants": [{"name": "nothing/web"}]}, "nothing/web"),
        ({"wants": [{"name": "chain/we_b"}]}, "we_b"),
        ({"wants": [{"name": "mesh"}, {"name": "mesh"}]}, "twice"),
        ({"wants": [{"name": f"chain/s{number}"} for number in range(2049)]}, "2048"),
        ({"wants": [], "wait_s": "long"}, "wait_s"),
    ],
)
async def test_bad_requests_are_refused_by_name(site: Site, body: Any, names: str) -> None:
    answer = await site.request("POST", SYNC, body)
    assert (answer.status_code, names in answer.text) == (400, True), answer.text


async def test_a_request_over_its_bound_is_413(site: Site) -> None:
    assert (await site.request("POST", SYNC, b" " * (1024 * 1024 + 1))).status_code == 413


async def test_the_roots_as_json_and_as_pem(site: Site) -> None:
    answer = await site.get("/v1/connect/ca/roots")
    shown = answer.json()
    (root,) = shown["Roots"]
    assert (shown["ActiveRootID"], shown["TrustDomain"]) == (root["ID"], "test.consul")
    assert (root["Active"], root["PrivateKeyType"], root["RootCert"]) == (True, "ec", site.api.authority.root_pem)
    assert int(answer.headers["X-Consul-Index"]) >= 1
    pem = await site.get("/v1/connect/ca/roots?pem=true")
    assert pem.headers["Content-Type"] == "application/pem-certificate-chain"
    assert pem.text == site.api.authority.root_pem
