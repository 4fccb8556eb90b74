"""What a token may do, asked by an agent; what a certificate may do is nobody's answer."""

from typing import Any

import pytest

from mesh.model.identity import Kind
from tests.fakes.catalog_site import open_site, send

PATH = "/v1/internal/acl/authorize"
WRITE_WEB = {"Resource": "service", "Access": "write", "Segment": "web"}
READ_WEB = {"Resource": "service", "Access": "read", "Segment": "web"}
OPERATE = {"Resource": "operator", "Access": "write"}


async def test_a_token_is_judged(acl: Any) -> None:
    """Each ask by itself, in order, and told back; no token and a wrong one may nothing."""
    await acl.made("policy", Name="p", Rules='service "web" { policy = "read" }')
    token = (await acl.made("token", Policies=[{"Name": "p"}]))["SecretID"]
    answer = await acl.site.request("POST", PATH, [READ_WEB, WRITE_WEB, OPERATE], headers={"X-Consul-Token": token})
    assert answer.json() == [
        {**READ_WEB, "Allow": True},
        {**WRITE_WEB, "Allow": False},
        {**OPERATE, "Segment": "", "Allow": False},
    ]
    unknown = await acl.site.request("POST", PATH, [READ_WEB], headers={"X-Consul-Token": f"{token[:-1]}!"})
    assert unknown.status_code == 403
    assert [one["Allow"] for one in (await acl.site.request("POST", PATH, [READ_WEB])).json()] == [False]


async def test_a_certificate_answers_for_nobody() -> None:
    """A node may have web's leaves; who reaches its agent without a token may not."""
    async with open_site() as site, site.member(await site.leaf(Kind.SERVICE, "web")) as client:
        shown = (await send(client, "POST", PATH, [READ_WEB, WRITE_WEB])).json()
        assert [one["Allow"] for one in shown] == [False, False]
        operator = await send(client, "POST", PATH, [OPERATE], headers=site.as_operator())
        assert [one["Allow"] for one in operator.json()] == [True]


@pytest.mark.parametrize("body", [b"{", {}, [{"Resource": "odd", "Access": "read"}], [{"Access": "read"}]])
async def test_what_is_no_question(body: Any) -> None:
    """400."""
    async with open_site(everyone_operates=True) as site:
        assert (await site.request("POST", PATH, body)).status_code == 400
        assert (await site.request("POST", PATH, [OPERATE])).json() == [{**OPERATE, "Segment": "", "Allow": True}]
