"""`/v1/agent/service*` as clients see it."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import trio
import trio.testing

from agents.vm.api.app import agent_app
from agents.vm.api.call import CallError, Endpoint
from agents.vm.api.host import Host

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]
REST = Endpoint()


async def test_registering_as_python_consul2_does(make_host: MakeHost, client_of: ClientOf) -> None:
    """Lower-case keys, as its `agent.service.register` sends them."""
    host = make_host()
    body = {
        "name": "web", "id": "w1", "port": 80, "tags": ["a"], "meta": {"Version": "1"}, "enabletagoverride": True,
        "check": {"http": "http://127.0.0.1:80/", "interval": "10s", "DeregisterCriticalServiceAfter": "2m", "TLSSkipVerify": True},
    }  # fmt: skip
    async with client_of(agent_app(host, REST)) as client:
        answer = await client.put("/v1/agent/service/register", json=body)
        assert (answer.status_code, answer.text) == (200, "")
        shown = (await client.get("/v1/agent/services")).json()
        checks = (await client.get("/v1/agent/checks")).json()
    assert shown["w1"] == {
        "ID": "w1", "Service": "web", "Tags": ["a"], "Meta": {"Version": "1"}, "Port": 80, "Address": "",
        "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": True, "Datacenter": "dc1",
    }  # fmt: skip
    assert checks["service:w1"]["Status"] == "critical"
    assert checks["service:w1"]["Definition"]["DeregisterCriticalServiceAfter"] == "2m0s"


async def test_one_service_with_its_hash(make_host: MakeHost, client_of: ClientOf, nursery: trio.Nursery) -> None:
    """A hash that is still true parks the call until the service changes."""
    host = make_host()
    async with client_of(agent_app(host, REST)) as client:
        await client.put("/v1/agent/service/register", json={"Name": "web", "Port": 80})
        first = await client.get("/v1/agent/service/web")
        digest = first.headers["x-consul-contenthash"]
        assert first.json()["ContentHash"] == digest
        late = await client.get(f"/v1/agent/service/web?hash={digest}&wait=20ms")
        assert late.json()["Port"] == 80
        answers: list[int] = []

        async def park() -> None:
            answers.append((await client.get(f"/v1/agent/service/web?hash={digest}&wait=60s")).json()["Port"])

        nursery.start_soon(park)
        await trio.testing.wait_all_tasks_blocked()
        assert not answers
        await client.put("/v1/agent/service/register", json={"Name": "web", "Port": 81})
        await trio.testing.wait_all_tasks_blocked()
    assert answers == [81]


async def test_deregister_and_maintenance(make_host: MakeHost, client_of: ClientOf) -> None:
    """Verbs on an ID; unknown ones are 404 with Consul's text; `enable` must say yes or no."""
    host = make_host()
    async with client_of(agent_app(host, REST)) as client:
        await client.put(
            "/v1/agent/service/register", json={"Name": "web", "Connect": {"SidecarService": {}}, "Port": 1}
        )
        assert sorted((await client.get("/v1/agent/services")).json()) == ["web", "web-sidecar-proxy"]
        on = await client.put("/v1/agent/service/maintenance/web?enable=true&reason=moving")
        assert on.status_code == 200
        assert host.state.checks["_service_maintenance:web"].definition.notes == "moving"
        assert (await client.put("/v1/agent/service/maintenance/web?enable=false")).status_code == 200
        for target, status, text in (
            ("/v1/agent/service/maintenance/web", 400, "Missing value for enable"),
            ("/v1/agent/service/maintenance/web?enable=perhaps", 400, "Invalid value for enable"),
            ("/v1/agent/service/maintenance/nope?enable=true", 404, 'Unknown service ID "nope"'),
            ("/v1/agent/service/deregister/nope", 404, 'Unknown service ID "nope"'),
            ("/v1/agent/service/deregister/web", 200, ""),
        ):
            answer = await client.put(target)
            assert answer.status_code == status
            assert text in answer.text
        assert (await client.get("/v1/agent/service/web")).status_code == 404
    assert not host.state.services


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "Request decode failed: line 1"),
        (b"[]", "Expected object"),
        (b"null", "Expected object"),
        (b"{}", "name"),
        (b'{"Name": "web", "Prot": 1}', "Prot: unknown field; did you mean 'port'?"),
        (b'{"Name": "web", "Port": "80"}', "port: Expected int"),
        (b'{"Name": "web", "Weights": {"Passing": 0}}', "weights"),
        (b'{"Name": "web", "Meta": {"consul-x": "y"}}', "reserved"),
        (b'{"Name": "web", "Check": {"Args": ["/bin/true"], "Interval": "10s"}}', "Scripts are disabled"),
    ],
)
async def test_bad_registrations_are_400_and_change_nothing(
    body: bytes, text: str, make_host: MakeHost, client_of: ClientOf
) -> None:
    """The text names the field."""
    host = make_host()
    async with client_of(agent_app(host, REST)) as client:
        answer = await client.put("/v1/agent/service/register", content=body)
    assert answer.status_code == 400
    assert text in answer.text
    assert not host.state.services


async def test_scripts_over_the_api_can_be_allowed(make_host: MakeHost, client_of: ClientOf) -> None:
    """Only where the operator said so."""
    host = make_host(api_scripts=True)
    async with client_of(agent_app(host, REST)) as client:
        body = {"Name": "web", "Check": {"Args": ["/bin/true"], "Interval": "10s"}}
        assert (await client.put("/v1/agent/service/register", json=body)).status_code == 200


async def test_filters_are_evaluated_or_refused(make_host: MakeHost, client_of: ClientOf) -> None:
    """Never ignored: an unfiltered list would be taken for a filtered one."""

    def keep(text: str, listing: str, items: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        assert listing == "services"
        if text == "bad":
            raise CallError(500, "Failed to create boolean expression evaluator")
        return {key: item for key, item in items.items() if item["Service"] == text}

    async with client_of(agent_app(make_host(), REST)) as client:
        assert (await client.get("/v1/agent/services?filter=a")).status_code == 400
    host = make_host(filter_items=keep)
    async with client_of(agent_app(host, REST)) as client:
        for name in ("a", "b"):
            await client.put("/v1/agent/service/register", json={"Name": name})
        assert list((await client.get("/v1/agent/services?filter=a")).json()) == ["a"]
        assert (await client.get("/v1/agent/services?filter=bad")).status_code == 500
