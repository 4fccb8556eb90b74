"""A catalog with access control, and a client that shows its management token."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from catalog.access.acl.settings import AclSettings
from catalog.api.acl.start import keep_initial_tokens
from tests.fakes.catalog_site import Site, open_site

MANAGEMENT = "5f0e6a2c-0000-4000-8000-000000000001"


class Managed:
    """Requests with the management token, unless another is given."""

    def __init__(self, site: Site) -> None:
        self.site = site

    async def __call__(self, method: str, path: str, body: Any = None, *, token: str = MANAGEMENT) -> httpx2.Response:
        headers = {"X-Consul-Token": token} if token else {}
        return await self.site.request(method, f"/v1/acl/{path}", body, headers=headers)

    async def made(self, path: str, **body: Any) -> Any:
        """The answer to a PUT that must succeed."""
        answer = await self("PUT", path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def acl() -> AsyncIterator[Managed]:
    async with open_site(acl=AclSettings(initial_management=MANAGEMENT)) as site:
        await keep_initial_tokens(site.api)
        yield Managed(site)
