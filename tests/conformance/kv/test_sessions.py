"""`/v1/session` to the letter (reference: API surface, measured traps 1, 3 and 8), over a real socket."""

from typing import Any

import pytest

from mesh.model.identity import Kind
from tests.fakes.catalog_site import Site, send

CHECK = {"Name": "disk", "CheckID": "disk", "Status": "passing"}


async def create(site: Site, **body: Any) -> str:
    answer = await site.put("/v1/session/create", body)
    assert answer.status_code == 200, answer.text
    session_id = answer.json()["ID"]
    assert isinstance(session_id, str)
    return session_id


async def info(site: Site, session_id: str) -> dict[str, Any]:
    (session,) = (await site.get(f"/v1/session/info/{session_id}")).json()
    assert isinstance(session, dict)
    return session


async def holder(site: Site, key: str) -> str | None:
    answer = await site.get(f"/v1/kv/{key}")
    return answer.json()[0].get("Session") if answer.status_code == 200 else "gone"


async def test_a_session_with_defaults(own: Site) -> None:
    """15 s of lock-delay as nanoseconds, release, bound to the node's own health."""
    session_id = (await own.put("/v1/session/create")).json()["ID"]
    assert await info(own, session_id) == {
        "ID": session_id,
        "Name": "",
        "Node": "server",
        "LockDelay": 15_000_000_000,
        "Behavior": "release",
        "TTL": "",
        "NodeChecks": ["serfHealth"],
        "ServiceChecks": None,
        "CreateIndex": own.engine.index,
        "ModifyIndex": own.engine.index,
    }


async def test_what_is_given_is_kept_but_for_id_and_datacenter(own: Site) -> None:
    """Measured trap 1: unknown fields are ignored."""
    body = {
        "Name": "lock",
        "TTL": "20s",
        "LockDelay": "5s",
        "Behavior": "delete",
        "ID": "mine",
        "Datacenter": "x",
        "A": 1,
    }
    session_id = await create(own, **body)
    session = await info(own, session_id)
    assert session_id != "mine"
    assert (session["Name"], session["TTL"], session["LockDelay"], session["Behavior"]) == (
        "lock",
        "20s",
        5_000_000_000,
        "delete",
    )


async def test_lists(own: Site) -> None:
    await own.register("n1")
    one, two = await create(own), await create(own, Node="n1", Checks=[])
    assert {session["ID"] for session in (await own.get("/v1/session/list")).json()} == {one, two}
    assert [session["ID"] for session in (await own.get("/v1/session/node/n1")).json()] == [two]
    assert (await own.get("/v1/session/node/nobody")).json() == []


async def test_what_is_not_there(own: Site) -> None:
    """Measured trap 8: destroying gives true, info an empty list; a renewal is 404."""
    assert (await own.put("/v1/session/destroy/none")).text == "true"
    assert (await own.get("/v1/session/info/none")).json() == []
    answer = await own.put("/v1/session/renew/none")
    assert (answer.status_code, answer.text) == (404, "Session id 'none' not found")


async def test_a_renewal_gives_the_session_and_costs_no_index(own: Site) -> None:
    session_id = await create(own, TTL="10s")
    index = own.engine.index
    assert (await own.put(f"/v1/session/renew/{session_id}")).json() == [await info(own, session_id)]
    assert own.engine.index == index


@pytest.mark.parametrize(
    "body",
    [
        {"Node": "nobody"},
        {"NodeChecks": ["none"]},
        {"TTL": "5s"},
        {"TTL": "25h"},
        {"TTL": "x"},
        {"Behavior": "x"},
        {"LockDelay": "x"},
        {"LockDelay": "2m"},
    ],
)
async def test_what_consul_refuses_with_500(own: Site, body: Any) -> None:
    answer = await own.put("/v1/session/create", body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert (await own.get("/v1/session/list")).json() == []


ENDS: list[tuple[str, Any]] = [
    ("/v1/catalog/register", {"Node": "n1", "SkipNodeUpdate": True, "Check": {**CHECK, "Status": "critical"}}),
    ("/v1/catalog/deregister", {"Node": "n1", "CheckID": "disk"}),
    ("/v1/catalog/deregister", {"Node": "n1"}),
    ("/v1/txn", [{"Check": {"Verb": "delete", "Check": {"Node": "n1", "CheckID": "disk"}}}]),
]


@pytest.mark.parametrize(("path", "body"), ENDS)
@pytest.mark.parametrize(("behavior", "after"), [("release", None), ("delete", "gone")])
async def test_a_session_ends_with_what_it_rests_on(
    own: Site, path: str, body: Any, behavior: str, after: str | None
) -> None:
    """Its keys are released or deleted, and may not be locked until the lock-delay is over."""
    await own.register("n1", Check=CHECK)
    session_id = await create(own, Node="n1", Checks=["disk"], Behavior=behavior)
    assert (await own.put(f"/v1/kv/a?acquire={session_id}", b"1")).text == "true"
    assert await holder(own, "a") == session_id
    assert (await own.put(path, body)).status_code == 200
    assert (await own.get(f"/v1/session/info/{session_id}")).json() == []
    assert await holder(own, "a") == after
    other = await create(own)
    assert (await own.put(f"/v1/kv/a?acquire={other}", b"2")).text == "false"
    assert (await own.put("/v1/kv/a", b"3")).text == "true"


async def test_a_session_cannot_rest_on_what_is_critical(own: Site) -> None:
    await own.register("n1", Check={**CHECK, "Status": "critical"})
    answer = await own.put("/v1/session/create", {"Node": "n1", "NodeChecks": ["disk"]})
    assert (answer.status_code, "critical" in answer.text) == (500, True)


async def test_strangers_see_and_end_no_session(guarded: Site) -> None:
    await guarded.put("/v1/catalog/register", {"Node": "n1", "Address": "a"}, headers=guarded.as_operator())
    body = {"Node": "n1", "Checks": []}
    assert (await guarded.put("/v1/session/create", body)).status_code == 403
    session_id = (await guarded.put("/v1/session/create", body, headers=guarded.as_operator())).json()["ID"]
    for path in ("list", f"info/{session_id}", "node/n1"):
        assert (await guarded.get(f"/v1/session/{path}")).json() == []
    for verb in ("destroy", "renew"):
        assert (await guarded.put(f"/v1/session/{verb}/{session_id}")).status_code == 403
    assert len((await guarded.get("/v1/session/list", headers=guarded.as_operator())).json()) == 1


async def test_a_session_made_through_an_agent_is_on_its_node(guarded: Site) -> None:
    """Whose token it is does not matter: the connection is the node's."""
    operator = guarded.as_operator()
    await guarded.put("/v1/catalog/register", {"Node": "vm1", "Address": "192.0.2.1"}, headers=operator)
    async with guarded.member(await guarded.leaf(Kind.NODE, "vm1")) as client:
        answer = await send(client, "PUT", "/v1/session/create", {"Checks": []}, headers=operator)
        assert answer.status_code == 200, answer.text
        (session,) = (await send(client, "GET", "/v1/session/list", headers=operator)).json()
    assert session["Node"] == "vm1"
