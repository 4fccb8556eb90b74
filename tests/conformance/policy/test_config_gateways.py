"""`/v1/catalog/gateway-services`, `/v1/health/ingress` and `?merge-central-config`, over a real socket."""

from typing import Any

import pytest

LISTENER = {"Port": 8080, "Protocol": "tcp", "Services": [{"Name": "web"}]}
SIDECAR = {
    "Kind": "connect-proxy",
    "ID": "web-proxy",
    "Service": "web-proxy",
    "Port": 21000,
    "Proxy": {"DestinationServiceName": "web", "Config": {"a": 1}},
}


async def test_the_services_of_a_gateway(site: Any) -> None:
    """Empty for one that nobody knows."""
    assert (await site.get("/v1/catalog/gateway-services/edge")).json() == []
    await site.put("/v1/config", {"Kind": "ingress-gateway", "Name": "edge", "Listeners": [LISTENER]})
    (row,) = (await site.get("/v1/catalog/gateway-services/edge")).json()
    assert (row["Service"]["Name"], row["GatewayKind"], row["Port"]) == ("web", "ingress-gateway", 8080)
    answer = await site.get('/v1/catalog/gateway-services/edge?filter=Service.Name == "db"')
    assert answer.json() == []


async def test_the_ingress_gateways_of_a_service(site: Any) -> None:
    """Their instances, with node and checks."""
    assert (await site.get("/v1/health/ingress/web?filter=Node.Node != `` ")).json() == []
    await site.register("n1", Service={"Kind": "ingress-gateway", "Service": "edge", "ID": "edge-1", "Port": 8080})
    await site.put("/v1/config", {"Kind": "ingress-gateway", "Name": "edge", "Listeners": [LISTENER]})
    (row,) = (await site.get("/v1/health/ingress/web")).json()
    assert (row["Service"]["ID"], row["Node"]["Node"], row["Checks"]) == ("edge-1", "n1", [])
    await site.register("n1", Check={"CheckID": "c", "Name": "c", "Status": "critical", "ServiceID": "edge-1"})
    assert (await site.get("/v1/health/ingress/web?passing")).json() == []
    assert (await site.get("/v1/health/ingress/db")).json() == []


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/v1/catalog/service/web-proxy", lambda rows: rows[0]["ServiceProxy"]),
        ("/v1/catalog/connect/web", lambda rows: rows[0]["ServiceProxy"]),
        ("/v1/health/service/web-proxy", lambda rows: rows[0]["Service"]["Proxy"]),
        ("/v1/health/connect/web", lambda rows: rows[0]["Service"]["Proxy"]),
        ("/v1/catalog/node-services/n1", lambda body: body["Services"][0]["Proxy"]),
    ],
)
async def test_the_central_configuration_is_worked_in(site: Any, path: str, read: Any) -> None:
    """Only where it is asked for; the registration stays."""
    await site.register("n1", Service=SIDECAR)
    await site.put("/v1/config", {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}})
    assert read((await site.get(path)).json())["Config"] == {"a": 1}
    merged = read((await site.get(f"{path}?merge-central-config")).json())
    assert merged["Config"] == {"a": 1, "protocol": "http"}
