"""Bootstrap once, and what is built in."""

from typing import Any

from catalog.access.acl.settings import AclSettings
from catalog.access.tokens import OPERATOR_KEY, OPERATOR_TABLE
from catalog.state.changes import DeleteRecord
from tests.fakes.catalog_site import open_site

SECRET = "5f0e6a2c-0000-4000-8000-00000000000b"


async def test_bootstrap_works_once() -> None:
    """Without an operator's token whoever is first has it, as in Consul."""
    async with open_site(acl=AclSettings()) as site:
        await site.engine.submit(DeleteRecord(OPERATOR_TABLE, OPERATOR_KEY))
        assert (await site.put("/v1/acl/bootstrap", {"BootstrapSecret": "short"})).status_code == 500
        made = await site.put("/v1/acl/bootstrap", {"BootstrapSecret": SECRET})
        assert (made.status_code, made.json()["SecretID"]) == (200, SECRET)
        assert made.json()["Description"] == "Bootstrap Token (Global Management)"
        again = await site.put("/v1/acl/bootstrap")
        index = made.json()["CreateIndex"]
        text = f"Permission denied: ACL bootstrap no longer allowed (reset index: {index})"
        assert (again.status_code, again.text) == (403, text)


async def test_where_the_operator_has_a_token_bootstrap_asks_for_it() -> None:
    """Else everybody on the machine could make himself the operator."""
    async with open_site() as site:
        assert (await site.put("/v1/acl/bootstrap")).status_code == 403
        made = await site.put("/v1/acl/bootstrap", headers=site.as_operator())
        assert made.status_code == 200
        assert (await site.put("/v1/acl/bootstrap", headers=site.as_operator())).status_code == 403


async def test_a_configured_management_token_is_the_bootstrap(acl: Any) -> None:
    answer = await acl("PUT", "bootstrap")
    assert (answer.status_code, "no longer allowed (reset index: " in answer.text) == (403, True)


async def test_templates(acl: Any) -> None:
    listed = (await acl("GET", "templated-policies")).json()
    assert len(listed) == 6
    assert (await acl("GET", "templated-policy/name/builtin/service")).json() == listed["builtin/service"]
    assert (await acl("GET", "templated-policy/name/no")).status_code == 404
    preview = await acl("POST", "templated-policy/preview/builtin/service", {"Name": "web"})
    assert 'service "web"' in preview.json()["Rules"]
    assert preview.json()["Name"].startswith("synthetic-policy-")
    assert (await acl("POST", "templated-policy/preview/builtin/service")).status_code == 500
    assert (await acl("POST", "templated-policy/preview/builtin/dns")).status_code == 200


async def test_nothing_is_replicated(acl: Any) -> None:
    assert (await acl("GET", "replication")).json()["Enabled"] is False
