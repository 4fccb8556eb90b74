"""The counts of `operator/usage`."""

import pytest

from catalog.api.http.errors import NotFoundError
from catalog.api.operator.usage import UsageEndpoints, counted
from catalog.state.changes import Register
from catalog.state.records import Node, ServiceInstance
from tests.fakes.catalog_calls import make_call, open_api


async def test_services_instances_and_nodes_are_counted() -> None:
    """Proxies are not billable, and neither is the catalog's own service."""
    async with open_api() as api:
        for node in ("a", "b"):
            services = (
                ServiceInstance(service="web", id="web", port=1),
                ServiceInstance(service="web-proxy", id="web-proxy", kind="connect-proxy", port=2),
                ServiceInstance(service="consul", id="consul", port=3),
            )
            await api.submit(Register(node=Node(node=node, address="192.0.2.1"), services=services))
        found = counted(api.parking.state)
        assert (found["Services"], found["ServiceInstances"], found["Nodes"]) == (3, 6, 2)
        assert found["BillableServiceInstances"] == 2
        assert found["ConnectServiceInstances"]["connect-proxy"] == 2


async def test_there_is_no_licence_to_report_on() -> None:
    """Refused in plain words."""
    async with open_api() as api:
        with pytest.raises(NotFoundError, match="utilization"):
            await UsageEndpoints(api).utilization(make_call())
