"""What is gone is said to be gone, with the way that is there."""

from catalog.api.operator.removed import RemovedEndpoints
from tests.fakes.catalog_calls import make_call, open_api


async def test_every_removed_path_names_another_way() -> None:
    """410 for the old access control, 404 for Consul's own."""
    async with open_api() as api:
        for path, methods in RemovedEndpoints(api).paths().items():
            for method in methods.values():
                answer = await method.handler(make_call())
                assert answer.status == (404 if "internal" in path else 410)
                assert b"/v1/" in answer.body
