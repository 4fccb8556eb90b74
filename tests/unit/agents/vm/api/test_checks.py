"""`/v1/agent/check*` as clients see it."""

from collections.abc import Callable
from typing import Any

import httpx2

from agents.vm.api.app import agent_app
from agents.vm.api.call import Endpoint
from agents.vm.api.host import Host

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


async def test_a_ttl_check_from_birth_to_end(make_host: MakeHost, client_of: ClientOf) -> None:
    """Registered as python-consul2 does, beaten in every way, taken away."""
    host = make_host()
    async with client_of(agent_app(host, Endpoint())) as client:
        body = {"name": "beat", "id": "b1", "ttl": "10s", "notes": "n"}
        assert (await client.put("/v1/agent/check/register", json=body)).status_code == 200
        for target, status, output in (
            ("pass/b1?note=fine", "passing", "fine"),
            ("warn/b1", "warning", ""),
            ("fail/b1?note=a%20b", "critical", "a b"),
        ):
            assert (await client.put(f"/v1/agent/check/{target}")).status_code == 200
            shown = (await client.get("/v1/agent/checks")).json()["b1"]
            assert (shown["Status"], shown["Output"], shown["Type"], shown["Notes"]) == (status, output, "ttl", "n")
        update = {"Status": "passing", "Output": "x" * 9000}
        assert (await client.put("/v1/agent/check/update/b1", json=update)).status_code == 200
        assert len((await client.get("/v1/agent/checks")).json()["b1"]["Output"]) == 4096
        assert (await client.put("/v1/agent/check/deregister/b1")).status_code == 200
        assert (await client.get("/v1/agent/checks")).json() == {}


async def test_errors_have_consuls_codes(make_host: MakeHost, client_of: ClientOf) -> None:
    """400 for what is wrong in itself, 404 for unknown IDs."""
    host = make_host()
    async with client_of(agent_app(host, Endpoint())) as client:
        for target, body, status, text in (
            ("register", {"ttl": "1s"}, 400, "Missing check name"),
            ("register", {"name": "x"}, 400, "exactly one of"),
            ("register", {"name": "x", "ttl": "1s", "serviceid": "nope"}, 404, 'Unknown service ID "nope"'),
            ("register", {"name": "x", "args": ["/bin/true"], "interval": "9s"}, 400, "Scripts are disabled"),
            ("update/x", {"Status": "green"}, 400, "Invalid check status"),
            ("update/x", {"Status": "passing"}, 404, 'Unknown check ID "x"'),
            ("pass/x", {}, 404, 'Unknown check ID "x"'),
            ("deregister/x", {}, 404, 'Unknown check ID "x"'),
        ):
            answer = await client.put(f"/v1/agent/check/{target}", json=body)
            assert (answer.status_code, text in answer.text) == (status, True), answer.text
