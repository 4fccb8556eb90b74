"""`/v1/discovery-chain/:service`, over a real socket."""

from typing import Any

import pytest

PATH = "/v1/discovery-chain/web"


async def test_a_service_that_nobody_knows_has_a_default_chain(site: Any) -> None:
    """Consul answers for any name."""
    answer = await site.get(PATH)
    chain = answer.json()["Chain"]
    assert (answer.status_code, chain["Default"], chain["Protocol"]) == (200, True, "tcp")
    assert int(answer.headers["X-Consul-Index"]) >= 1


async def test_entries_show_in_the_chain(site: Any) -> None:
    for name in ("web", "admin"):
        await site.put("/v1/config", {"Kind": "service-defaults", "Name": name, "Protocol": "http"})
    routes = [{"Match": {"HTTP": {"PathPrefix": "/admin"}}, "Destination": {"Service": "admin"}}]
    await site.put("/v1/config", {"Kind": "service-router", "Name": "web", "Routes": routes})
    chain = (await site.get(PATH)).json()["Chain"]
    assert chain["StartNode"] == "router:web.default.default"
    assert set(chain["Targets"]) == {"web.default.default.dc1", "admin.default.default.dc1"}


async def test_overrides(site: Any) -> None:
    """By POST; GET never has them."""
    body = {
        "OverrideConnectTimeout": "7s",
        "OverrideProtocol": "grpc",
        "OverrideMeshGateway": {"Mode": "remote"},
    }
    chain = (await site.request("POST", PATH, body)).json()["Chain"]
    (target,) = chain["Targets"].values()
    assert (chain["Protocol"], target["ConnectTimeout"], target["MeshGateway"]) == ("grpc", "7s", {"Mode": "remote"})
    assert "CustomizationHash" in chain
    assert "CustomizationHash" not in (await site.get(PATH)).json()["Chain"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, {"OverrideProtocol": "smtp"}, 400),
        ("POST", PATH, {"OverrideProtocl": "http"}, 400),
        ("POST", PATH, b"{", 400),
        ("GET", f"{PATH}?dc=dc2", None, 500),
        ("GET", f"{PATH}?compile-dc=dc2", None, 200),
        ("PUT", PATH, {}, 405),
        ("GET", "/v1/discovery-chain/", None, 404),
    ],
)
async def test_statuses(site: Any, method: str, path: str, body: Any, status: int) -> None:
    assert (await site.request(method, path, body)).status_code == status
