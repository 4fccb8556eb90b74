"""One word of health: aggregation and its status codes."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from agents.vm.api.app import agent_app
from agents.vm.api.call import Endpoint
from agents.vm.api.health import aggregate
from agents.vm.api.host import Host
from agents.vm.definition.values import CheckDefinition, ServiceDefinition, TtlProbe
from agents.vm.local.entries import Origin
from mesh.model.endpoint import Health

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


@pytest.mark.parametrize(
    ("service", "node", "maintenance", "word", "code"),
    [
        ("passing", "passing", False, "passing", 200),
        ("warning", "passing", False, "warning", 429),
        ("passing", "critical", False, "critical", 503),
        ("passing", "passing", True, "maintenance", 503),
        ("critical", "warning", True, "maintenance", 503),
    ],
)
async def test_the_worst_state_gives_word_and_code(
    service: str, node: str, maintenance: bool, word: str, code: int, make_host: MakeHost, client_of: ClientOf
) -> None:
    """Checks of the service and of the node count; maintenance beats all."""
    host = make_host()
    check = CheckDefinition("c", "c", TtlProbe(9), "w1", initial=Health(service))
    host.state.put_service(ServiceDefinition("w1", "web", checks=(check,)), Origin.API, 0)
    host.state.put_check(CheckDefinition("n", "n", TtlProbe(9), initial=Health(node)), Origin.API, 0)
    host.state.maintain("w1", "", 0, enable=maintenance)
    assert aggregate(host.state, "w1") == word
    async with client_of(agent_app(host, Endpoint())) as client:
        by_id = await client.get("/v1/agent/health/service/id/w1")
        assert (by_id.status_code, by_id.json()["AggregatedStatus"]) == (code, word)
        assert by_id.json()["Service"]["ID"] == "w1"
        by_name = await client.get("/v1/agent/health/service/name/web")
        assert (by_name.status_code, [one["AggregatedStatus"] for one in by_name.json()]) == (code, [word])
        text = await client.get("/v1/agent/health/service/id/w1?format=text")
        assert (text.status_code, text.text) == (code, word)
        for unknown in ("id/nope", "name/nope"):
            assert (await client.get(f"/v1/agent/health/service/{unknown}")).status_code == 404
