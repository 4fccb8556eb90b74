"""No peers: empty lists, plain refusals, and what is exported to networks."""

import msgspec
import pytest

from catalog.api.http.errors import NotFoundError, PermissionDeniedError
from catalog.api.operator.peering import PeeringEndpoints
from catalog.state.changes import PutConfig
from tests.fakes.catalog_calls import make_call, open_api, powerless


async def test_there_are_no_peers() -> None:
    """Said with an empty list, and with 404 to who names or makes one."""
    async with open_api() as api:
        peering = PeeringEndpoints(api)
        assert (await peering.peerings(make_call())).body == b"[]"
        assert (await peering.imported(make_call())).body == b"[]"
        with pytest.raises(NotFoundError, match="no cluster peering"):
            await peering.refuse_write(make_call("POST"))
        with pytest.raises(NotFoundError, match="east"):
            await peering.no_such_peer(make_call(name="east"))


async def test_what_is_exported_is_listed_with_its_consumers() -> None:
    """Entries of one service are joined; what is no list of objects counts for nothing."""
    async with open_api() as api:
        body = {
            "Services": [
                {"Name": "web", "Consumers": [{"Network": "vm"}, {"Network": "k8s"}]},
                {"Name": "api", "Consumers": [{"Peer": "east"}]},
                {"Name": "none"},
            ]
        }
        await api.submit(PutConfig("exported-services", "default", body))
        await api.submit(PutConfig("exported-services", "vm", {"Services": [{"Name": "web", "Consumers": "x"}]}))
        peering = PeeringEndpoints(api)
        assert msgspec.json.decode((await peering.exported(make_call())).body) == [
            {"Service": "api", "Consumers": {"Networks": [], "Peers": ["east"]}},
            {"Service": "none", "Consumers": {"Networks": [], "Peers": []}},
            {"Service": "web", "Consumers": {"Networks": ["k8s", "vm"], "Peers": []}},
        ]


async def test_rights() -> None:
    """Every path asks."""
    async with open_api() as api:
        peering = PeeringEndpoints(api)
        for handler in (peering.refuse_write, peering.peerings, peering.exported, peering.imported):
            with pytest.raises(PermissionDeniedError):
                await handler(powerless(make_call()))
