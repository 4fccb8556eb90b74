"""How the attacks of this folder are set up: what the operator does, tokens by their rules, and calls with them.

It must never be imported by anything but tests.
"""

from typing import Any

import httpx2
import msgspec

from tests.fakes.catalog_site import Site


async def operate(site: Site, method: str, path: str, body: Any = None) -> Any:
    """What the operator does."""
    answer = await site.request(method, f"/v1/{path}", body, headers=site.as_operator())
    assert answer.status_code == 200, (path, answer.text)
    return msgspec.json.decode(answer.content) if answer.content else None


async def make_token(site: Site, rules: str, **fields: Any) -> dict[str, Any]:
    """A token with these rules, and a policy of its own."""
    number = len(site.engine.state.records("acl-policies"))
    policy = await operate(site, "PUT", "acl/policy", {"Name": f"p{number}", "Rules": rules})
    token: dict[str, Any] = await operate(site, "PUT", "acl/token", {"Policies": [{"ID": policy["ID"]}], **fields})
    return {**token, "PolicyID": policy["ID"], "PolicyName": policy["Name"]}


async def register(site: Site, node: str, service: str = "", **fields: Any) -> None:
    """What the operator registers."""
    body: dict[str, Any] = {"Node": node, "Address": "192.0.2.1"}
    if service:
        body["Service"] = {"Service": service, **fields}
    await operate(site, "PUT", "catalog/register", body)


async def attack(site: Site, token: dict[str, Any] | None, method: str, path: str, body: Any = None) -> httpx2.Response:
    """A call with a token, or with none."""
    headers = {} if token is None else {"X-Consul-Token": token["SecretID"]}
    return await site.request(method, f"/v1/{path}", body, headers=headers)
