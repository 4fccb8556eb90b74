"""Access control as its users meet it: filtered lists, parked reads, registrations by token, and what is never written down."""

import json
import logging
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import trio

from catalog.access.acl.settings import AclSettings
from catalog.api.acl.start import keep_initial_tokens
from catalog.audit.log import AuditLog
from catalog.authority.authority import revoke_change
from mesh.model.identity import Kind
from tests.fakes.catalog_site import Site, open_site, send

FILTERED = "X-Consul-Results-Filtered-By-ACLs"
READ_WEB = 'service "web" { policy = "read" } node "n1" { policy = "read" }'


async def operate(site: Site, method: str, path: str, body: Any = None) -> Any:
    """What the operator does."""
    answer = await site.request(method, f"/v1/{path}", body, headers=site.as_operator())
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content) if answer.content else None


async def make_token(site: Site, rules: str) -> dict[str, Any]:
    """A token with these rules, and a policy of its own."""
    number = len(site.engine.state.records("acl-policies"))
    policy = await operate(site, "PUT", "acl/policy", {"Name": f"p{number}", "Rules": rules})
    token: dict[str, Any] = await operate(site, "PUT", "acl/token", {"Policies": [{"ID": policy["ID"]}]})
    return {**token, "PolicyID": policy["ID"], "PolicyName": policy["Name"]}


async def register(site: Site, node: str, service: str, **fields: Any) -> None:
    body = {"Node": node, "Address": "192.0.2.1", "Service": {"Service": service, **fields}}
    await operate(site, "PUT", "catalog/register", body)


async def ask(site: Site, path: str, token: dict[str, Any]) -> httpx2.Response:
    return await site.get(f"/v1/{path}", headers={"X-Consul-Token": token["SecretID"]})


async def test_lists_hold_what_the_token_may_read(guarded: Site) -> None:
    """And say that something was left out, by a header, to who has a token."""
    for node, service in (("n1", "web"), ("n1", "db"), ("n2", "web")):
        await register(guarded, node, service)
    token = await make_token(guarded, READ_WEB)
    for path, seen in (
        ("catalog/nodes", ["n1"]),
        ("catalog/service/web", ["n1"]),
        ("health/service/web", ["n1"]),
        ("health/service/db", []),
    ):
        answer = await ask(guarded, path, token)
        rows = [row["Node"]["Node"] if isinstance(row["Node"], dict) else row["Node"] for row in answer.json()]
        assert (rows, answer.headers.get(FILTERED)) == (seen, "true"), path
    assert (await ask(guarded, "catalog/services", token)).json() == {"web": []}
    assert list((await ask(guarded, "catalog/node/n1", token)).json()["Services"]) == ["web"]
    assert (await ask(guarded, "catalog/node/n2", token)).json() is None
    anonymous = await guarded.get("/v1/catalog/nodes")
    assert (anonymous.json(), FILTERED in anonymous.headers) == ([], False)
    manager = await guarded.get("/v1/catalog/nodes", headers=guarded.as_operator())
    assert (len(manager.json()), FILTERED in manager.headers) == (2, False)


async def test_a_filter_sees_no_more_than_its_caller(guarded: Site) -> None:
    """Neither by what it finds nor by how it fails."""
    await register(guarded, "n1", "web", Tags=["a"])
    await register(guarded, "n1", "db", Tags=["b"])
    token = await make_token(guarded, READ_WEB)
    for expression, found in (
        ('ServiceName == "db"', {}),
        ('"b" in ServiceTags', {}),
        ('ServiceName != "x"', {"web": ["a"]}),
    ):
        answer = await ask(guarded, f"catalog/services?filter={expression}", token)
        assert answer.json() == found


async def parked(site: Site, path: str, token: dict[str, Any], change: Any, wait: str = "10s") -> httpx2.Response:
    """A blocking read that is parked when `change` is made."""
    index = int((await ask(site, path, token)).headers["X-Consul-Index"])
    answers: list[httpx2.Response] = []

    async def read() -> None:
        answers.append(await ask(site, f"{path}?index={index}&wait={wait}", token))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        with trio.fail_after(5):
            while not len(site.api.parking):  # noqa: ASYNC110 - the catalog is not there to tell tests
                await trio.sleep(0.005)
        await change()
    return answers[0]


@pytest.mark.parametrize(
    "path", ["catalog/services", "catalog/nodes", "health/service/web", "health/state/any", "kv/a"]
)
async def test_a_token_that_is_deleted_ends_its_parked_reads(guarded: Site, path: str) -> None:
    await register(guarded, "n1", "web")
    token = await make_token(guarded, f'{READ_WEB} key "a" {{ policy = "read" }}')

    async def delete() -> None:
        await operate(guarded, "DELETE", f"acl/token/{token['AccessorID']}")

    with trio.fail_after(5):
        answer = await parked(guarded, path, token, delete, wait="1s")
    assert (answer.status_code, answer.text) == (403, "ACL not found")


async def test_a_policy_that_changes_counts_for_parked_reads(guarded: Site) -> None:
    """They wake, and show what may be seen now."""
    await register(guarded, "n1", "web")
    token = await make_token(guarded, READ_WEB)

    async def change() -> None:
        await operate(guarded, "PUT", f"acl/policy/{token['PolicyID']}", {"Name": token["PolicyName"], "Rules": ""})

    with trio.fail_after(5):
        answer = await parked(guarded, "catalog/services", token, change)
    assert (answer.status_code, answer.json()) == (200, {})


async def test_a_parked_read_sleeps_through_what_it_may_not_see(guarded: Site) -> None:
    """And wakes for what it may."""
    await register(guarded, "n1", "web")
    token = await make_token(guarded, READ_WEB)
    woken = trio.Event()

    async def change() -> None:
        await register(guarded, "n9", "hidden")
        for _ in range(5):
            await trio.sleep(0.02)
            assert len(guarded.api.parking) == 1
        woken.set()
        await register(guarded, "n1", "web", Tags=["new"])

    with trio.fail_after(5):
        answer = await parked(guarded, "catalog/services", token, change)
    assert woken.is_set()
    assert answer.json() == {"web": ["new"]}


async def test_what_was_never_seen_moves_no_index(guarded: Site) -> None:
    """Whoever polls instead of waiting learns nothing, either."""
    await register(guarded, "n1", "web")
    token = await make_token(guarded, READ_WEB)
    paths = ("catalog/services", "catalog/nodes", "health/state/any", "health/service/hidden")
    before = [(await ask(guarded, path, token)).headers["X-Consul-Index"] for path in paths]
    await register(guarded, "n9", "hidden")
    assert [(await ask(guarded, path, token)).headers["X-Consul-Index"] for path in paths] == before


async def test_a_service_registers_itself_and_nothing_else(guarded: Site) -> None:
    """With a service identity, on a node that is there."""
    await operate(guarded, "PUT", "catalog/register", {"Node": "n1", "Address": "192.0.2.1"})
    token = await operate(guarded, "PUT", "acl/token", {"ServiceIdentities": [{"ServiceName": "web"}]})
    headers = {"X-Consul-Token": token["SecretID"]}
    body = {"Node": "n1", "Address": "192.0.2.1"}
    for service, status in (("web", 200), ("web-sidecar-proxy", 200), ("db", 403)):
        answer = await guarded.put("/v1/catalog/register", {**body, "Service": {"Service": service}}, headers=headers)
        assert answer.status_code == status, answer.text
    assert 'service:write\' on "db"' in answer.text
    assert (
        await guarded.put("/v1/catalog/register", {**body, "Address": "192.0.2.2"}, headers=headers)
    ).status_code == 403
    assert (await guarded.put("/v1/catalog/deregister", {"Node": "n1"}, headers=headers)).status_code == 403
    gone = {"Node": "n1", "ServiceID": "web"}
    assert (await guarded.put("/v1/catalog/deregister", gone, headers=headers)).status_code == 200


async def test_the_anonymous_token_may_be_given_rights(guarded: Site) -> None:
    await register(guarded, "n1", "web")
    policy = await operate(guarded, "PUT", "acl/policy", {"Name": "public", "Rules": READ_WEB})
    anonymous = "acl/token/00000000-0000-0000-0000-000000000002"
    await operate(guarded, "PUT", anonymous, {"Policies": [{"ID": policy["ID"]}]})
    assert (await guarded.get("/v1/catalog/services")).json() == {"web": []}


async def test_default_allow_and_the_default_token() -> None:
    async with open_site(acl=AclSettings(default_policy="allow")) as site:
        assert (await site.put("/v1/kv/a", b"v")).text == "true"
        assert (await site.get("/v1/acl/tokens")).status_code == 403
        assert (await site.get("/v1/kv/a")).headers["X-Consul-Default-ACL-Policy"] == "allow"
    secret = "5f0e6a2c-0000-4000-8000-00000000000c"
    async with open_site(acl=AclSettings(initial_management=secret, default=secret)) as site:
        await keep_initial_tokens(site.api)
        assert (await site.get("/v1/acl/token/self")).json()["Description"] == "Initial Management Token"
        assert (await site.get("/v1/acl/tokens", headers={"X-Consul-Token": "anonymous"})).status_code == 403


async def test_every_write_is_audited_and_no_token_is(
    guarded: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who, from where, what and how it ended; the token is neither there nor in the log, however it was sent."""
    guarded.api.gate.audit = audit = AuditLog(tmp_path / "audit.log")
    token = await make_token(guarded, 'key_prefix "" { policy = "write" }')
    secret = token["SecretID"]
    with caplog.at_level(logging.DEBUG):
        await guarded.put(f"/v1/kv/a?token={secret}", b"v")
        await guarded.put("/v1/kv/b", b"v", headers={"Authorization": f"Bearer {secret}"})
        await guarded.put("/v1/catalog/register", {"Node": "n1", "Address": "x"}, headers={"X-Consul-Token": secret})
        await guarded.put(f"/v1/kv/c?token={secret}wrong", b"v")
        await guarded.put("/v1/kv/d", b"v")
        await guarded.get(f"/v1/kv/a?token={secret}")
        await guarded.request("POST", "/v1/linkspan/sync", {"wants": []}, headers=guarded.as_operator())
    audit.close()
    text = (tmp_path / "audit.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    said = [(line["who"], line.get("accessor", ""), line["method"], line["path"], line["status"]) for line in lines[2:]]
    accessor = token["AccessorID"]
    assert said == [
        ("token", accessor, "PUT", "/v1/kv/a", 200),
        ("token", accessor, "PUT", "/v1/kv/b", 200),
        ("token", accessor, "PUT", "/v1/catalog/register", 403),
        ("nobody", "", "PUT", "/v1/kv/c", 403),
        ("anonymous", "", "PUT", "/v1/kv/d", 403),
    ]
    assert [line["who"] for line in lines[:2]] == ["operator", "operator"]
    assert {line["peer"] for line in lines} == {"127.0.0.1"}
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    assert secret not in text + ours
    assert guarded.operator_token not in text + ours


async def test_no_secret_reaches_the_disk(guarded: Site) -> None:
    """Neither the state nor what is logged of it holds one; only hashes."""
    token = await make_token(guarded, "")
    image = guarded.engine.state.encode()
    assert token["SecretID"].encode() not in image
    assert token["AccessorID"].encode() in image


async def test_a_parked_sync_ends_with_its_certificate(guarded: Site) -> None:
    """Sync waits like a blocking query, and is judged again like one."""
    leaf = await guarded.leaf(Kind.NODE, "vm1")
    async with guarded.member(leaf) as client:
        first = await send(client, "POST", "/v1/linkspan/sync", {"wants": [{"name": "endpoints/web"}]})
        (held,) = first.json()["changed"]
        answers: list[httpx2.Response] = []

        async def wait() -> None:
            wants = [{"name": "endpoints/web", "version": held["version"]}]
            answers.append(await send(client, "POST", "/v1/linkspan/sync", {"wants": wants, "wait_s": 5}))

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                while not len(guarded.api.parking):  # noqa: ASYNC110 - the catalog is not there to tell tests
                    await trio.sleep(0.005)
                await guarded.engine.submit(revoke_change(leaf.serial))
                await register(guarded, "n1", "web", Port=80, Connect={"Native": True})
    assert (answers[0].status_code, "revoked" in answers[0].text) == (403, True)
