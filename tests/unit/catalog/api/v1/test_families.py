"""Every family declares its paths with a right, and none twice."""

from catalog.api.app import routes
from catalog.api.chain.endpoints import ChainEndpoints
from catalog.api.gate import Judge, Right
from catalog.api.gateways.endpoints import GatewayEndpoints
from catalog.api.policy.entries import EntryEndpoints
from catalog.api.policy.legacy import IntentionFamily
from catalog.api.query.endpoints import QueryEndpoints
from catalog.api.revocation import RevocationEndpoints
from catalog.api.v1.catalog import CatalogEndpoints
from catalog.api.v1.health import HealthEndpoints
from catalog.api.v1.identity import IdentityEndpoints
from catalog.api.v1.roots import RootEndpoints
from catalog.api.v1.status import StatusEndpoints
from catalog.api.v1.sync import SyncEndpoints
from tests.fakes.catalog_calls import open_api

FAMILIES = (
    CatalogEndpoints,
    ChainEndpoints,
    EntryEndpoints,
    GatewayEndpoints,
    HealthEndpoints,
    IdentityEndpoints,
    IntentionFamily,
    QueryEndpoints,
    RevocationEndpoints,
    RootEndpoints,
    StatusEndpoints,
    SyncEndpoints,
)


async def test_only_the_trust_bundle_and_joining_are_open() -> None:
    """Whatever else is added must ask for a right."""
    async with open_api() as api:
        rights: dict[tuple[str, str], Right] = {
            (method, path): declared.right
            for family in FAMILIES
            for path, methods in family(api).paths().items()
            for method, declared in methods.items()
        }
    opened = {key for key, right in rights.items() if right.judge is Judge.NOBODY}
    assert opened == {("GET", "/v1/connect/ca/roots"), ("POST", "/v1/linkspan/join")}
    judged_within = {path for (_, path), right in rights.items() if right.judge is Judge.HANDLER}
    assert judged_within == {
        "/v1/catalog/register",
        "/v1/catalog/deregister",
        "/v1/config",
        "/v1/discovery-chain/{service}",
        "/v1/catalog/gateway-services/{gateway}",
        "/v1/health/ingress/{service}",
        "/v1/query",
        "/v1/query/{query}",
        "/v1/query/{query}/execute",
        "/v1/query/{query}/explain",
        "/v1/config/{kind}",
        "/v1/config/{kind}/{name}",
        "/v1/connect/intentions",
        "/v1/connect/intentions/exact",
        "/v1/connect/intentions/match",
        "/v1/connect/intentions/check",
        "/v1/connect/intentions/{intention_id}",
        "/v1/linkspan/sync",
        "/v1/linkspan/lease/{node}",
        "/v1/linkspan/leaf",
    }


async def test_every_path_of_every_family_is_served_once() -> None:
    async with open_api() as api:
        declared = [path for family in FAMILIES for path in family(api).paths()]
        served = [route.path for route in routes(api)]  # type: ignore[attr-defined]
    assert set(declared) <= set(served)
    assert len(set(served)) == len(served)
