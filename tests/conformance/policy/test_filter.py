"""`?filter=` on every listing that has it, over a real socket: its selectors, its errors."""

from typing import Any

import pytest

LISTINGS = {
    "/v1/catalog/nodes": ('Meta.rack == "7"', 'Node in "n1"'),
    "/v1/catalog/service/web": ("ServiceMeta.env == prod and v1 in ServiceTags", "Service == web"),
    "/v1/catalog/connect/web": ("ServiceConnect.Native == true", "Connect.Native == true"),
    "/v1/health/service/web": ('Service.Meta.env == prod and Node.Meta["rack"] == 7', "ServiceMeta.env == prod"),
    "/v1/health/connect/web": ("Checks.Status == passing", "Status == passing"),
    "/v1/health/ingress/web": ("Service.Port == 1", "Port == 1"),
    "/v1/health/checks/web": ("Status != critical and ServiceName == web", "Checks.Status != critical"),
    "/v1/health/node/n1": ("CheckID == c1", "Check == c1"),
    "/v1/health/state/any": ("ServiceTags contains v1", "Tags contains v1"),
    "/v1/connect/intentions": ("SourceName == web", "Source == web"),
    "/v1/config/service-defaults": ("Name == web", "Nope == web"),
    "/v1/catalog/gateway-services/edge": ("GatewayKind == x", "Kind == x"),
}


@pytest.fixture
async def filled(site: Any) -> Any:
    """One node with one native instance and its check; something in every listing."""
    web = {
        "Service": "web",
        "Tags": ["v1"],
        "Meta": {"env": "prod"},
        "Port": 80,
        "Connect": {"Native": True},
    }
    await site.register("n1", NodeMeta={"rack": "7"}, Service=web)
    await site.register(
        "n1", NodeMeta={"rack": "7"}, Check={"CheckID": "c1", "Name": "c", "Status": "passing", "ServiceID": "web"}
    )
    await site.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    await site.put("/v1/connect/intentions/exact?source=web&destination=api", {"Action": "allow"})
    return site


@pytest.mark.parametrize("path", LISTINGS)
async def test_every_listing(filled: Any, path: str) -> None:
    """A good filter keeps or leaves; its negation does the other; a wrong selector and a wrong text are 500."""
    good, wrong = LISTINGS[path]
    everything = (await filled.get(path)).json()
    kept = (await filled.get(path, params={"filter": good})).json()
    left = (await filled.get(path, params={"filter": f"not ({good})"})).json()
    assert len(kept) + len(left) == len(everything)
    assert kept or path in {"/v1/health/ingress/web", "/v1/catalog/gateway-services/edge"}
    for bad in (wrong, "x y z", "((", good + " AND " + good):
        answer = await filled.get(path, params={"filter": bad})
        assert answer.status_code == 500, (bad, answer.text)
        assert answer.text.startswith("Failed to create boolean expression evaluator")


async def test_services_and_a_nodes_services(filled: Any) -> None:
    """Maps are filtered by what they are made from."""
    answer = await filled.get("/v1/catalog/services", params={"filter": 'ServiceMeta.env == "prod"'})
    assert answer.json() == {"web": ["v1"]}
    answer = await filled.get("/v1/catalog/services", params={"filter": 'ServiceMeta.env == "dev"'})
    assert answer.json() == {}
    for path in ("/v1/catalog/node/n1", "/v1/catalog/node-services/n1"):
        answer = await filled.get(path, params={"filter": "Service == db"})
        assert len(answer.json()["Services"]) == 0
        assert (await filled.get(path, params={"filter": "ServiceName == db"})).status_code == 500


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('ServicePort == "80"', 1),
        ("ServicePort == 80", 1),
        ("ServicePort != 80", 0),
        ("ServiceMeta.nope != x", 1),
        ('ServiceMeta.nope matches ".*"', 1),
        ("env in ServiceMeta", 1),
        ("nope in ServiceMeta", 0),
        ("ServiceTags is not empty", 1),
        ("ServiceName == `web`", 1),
        ("ServiceName is empty", None),
        ("ServicePort >= 80", None),
        ("ServicePort == 0x50", None),
        ("ServiceName = web", None),
        ("true", None),
        ("any ServiceTags as t { t == v1 }", None),
        ("all ServiceTags as t { t == v1 }", None),
        ("ServiceName == web AND ServicePort == 80", None),
        ("(" * 10_000, None),
        ("(" * 20_000, None),
        ("ServiceName == " + "x" * 60_000, 0),
    ],
)
async def test_consuls_verdicts(filled: Any, expression: str, found: int | None) -> None:
    """Measured (trap 11): how many are kept; None is an error."""
    answer = await filled.get("/v1/catalog/service/web", params={"filter": expression})
    if found is None:
        assert answer.status_code == 500
        return
    assert len(answer.json()) == found
