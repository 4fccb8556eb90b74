"""`/v1/txn` to the letter (reference: API surface, measured trap 9), over a real socket."""

import base64
from typing import Any

from tests.fakes.catalog_site import Site


def kv(verb: str, key: str, value: bytes | None = None, **fields: Any) -> dict[str, Any]:
    body = {"Verb": verb, "Key": key, **fields}
    if value is not None:
        body["Value"] = base64.b64encode(value).decode()
    return {"KV": body}


async def transact(site: Site, *operations: Any) -> tuple[int, Any]:
    answer = await site.put("/v1/txn", list(operations))
    assert answer.headers["Content-Type"] == "application/json", answer.text
    return answer.status_code, answer.json()


async def test_a_write_gives_rows_without_values(site: Site) -> None:
    status, found = await transact(site, kv("set", "a", b"1", Flags=7), kv("delete", "b"))
    assert (status, found) == (
        200,
        {
            "Results": [
                {"KV": {"LockIndex": 0, "Key": "a", "Flags": 7, "Value": None, "CreateIndex": 3, "ModifyIndex": 3}}
            ],
            "Errors": None,
        },
    )
    assert (await site.get("/v1/kv/a?raw")).content == b"1"


async def test_a_read_says_what_reads_say_and_is_not_logged(site: Site) -> None:
    await transact(site, kv("set", "a", b"1"))
    before = site.engine.index
    answer = await site.put("/v1/txn", [kv("get", "a"), kv("check-not-exists", "b")])
    found = answer.json()
    assert base64.b64decode(found["Results"][0]["KV"]["Value"]) == b"1"
    assert (found["Index"], found["LastContact"], found["KnownLeader"], found["Errors"]) == (before, 0, True, None)
    assert int(answer.headers["X-Consul-Index"]) == before
    assert site.engine.index == before


async def test_all_or_nothing_with_every_error(site: Site) -> None:
    status, found = await transact(
        site, kv("set", "a", b"1"), kv("get", "none"), kv("cas", "a", b"2", Index=99), kv("fly", "a")
    )
    assert (status, found["Results"]) == (409, None)
    assert [error["OpIndex"] for error in found["Errors"]] == [1, 2, 3]
    assert all(error["What"] for error in found["Errors"])
    assert (await site.get("/v1/kv/a")).status_code == 404


async def test_129_operations_are_413(site: Site) -> None:
    for count, status in ((128, 200), (129, 413)):
        answer = await site.put("/v1/txn", [kv("set", f"k{number}", b"") for number in range(count)])
        assert answer.status_code == status
    assert len((await site.get("/v1/kv/?keys")).json()) == 128


async def test_a_lock_moves_in_one_step(own: Site) -> None:
    """Release one key and take another, or neither."""
    session = (await own.put("/v1/session/create")).json()["ID"]
    status, found = await transact(
        own, kv("lock", "a", b"1", Session=session), kv("check-session", "a", Session=session)
    )
    assert (status, found["Results"][0]["KV"]["Session"], found["Results"][0]["KV"]["LockIndex"]) == (200, session, 1)
    status, _ = await transact(own, kv("unlock", "a", b"1", Session=session), kv("lock", "b", b"1", Session="none"))
    assert status == 409
    assert (await own.get("/v1/kv/a")).json()[0]["Session"] == session


async def test_nodes_services_and_checks(site: Site) -> None:
    """Registered, compared, read and removed; a service's removal needs its name (measured)."""
    node, service = {"Node": "n1", "Address": "192.0.2.1"}, {"ID": "web-1", "Service": "web", "Port": 80}
    check = {"Node": "n1", "CheckID": "up", "Name": "up", "Status": "passing", "ServiceID": "web-1"}
    status, found = await transact(
        site,
        {"Node": {"Verb": "set", "Node": node}},
        {"Service": {"Verb": "set", "Node": "n1", "Service": service}},
        {"Check": {"Verb": "set", "Check": check}},
    )
    assert status == 200, found
    assert [next(iter(result)) for result in found["Results"]] == ["Node", "Service", "Check"]
    assert found["Results"][2]["Check"]["ServiceName"] == "web"
    (instance,) = (await site.get("/v1/health/service/web?passing")).json()
    assert instance["Service"]["Port"] == 80
    index = instance["Service"]["ModifyIndex"]
    stale = {"Service": {"Verb": "cas", "Node": "n1", "Service": {**service, "Port": 81, "ModifyIndex": index + 5}}}
    assert (await transact(site, stale))[0] == 409
    fresh = {"Service": {"Verb": "cas", "Node": "n1", "Service": {**service, "Port": 81, "ModifyIndex": index}}}
    assert (await transact(site, fresh))[0] == 200
    status, found = await transact(site, {"Service": {"Verb": "get", "Node": "n1", "Service": {"ID": "web-1"}}})
    assert (status, found["Results"][0]["Service"]["Port"]) == (200, 81)
    nameless = {"Service": {"Verb": "delete", "Node": "n1", "Service": {"ID": "web-1"}}}
    assert (await transact(site, nameless))[0] == 409
    named = {"Service": {"Verb": "delete", "Node": "n1", "Service": {"ID": "web-1", "Service": "web"}}}
    assert (await transact(site, named, {"Node": {"Verb": "delete", "Node": {"Node": "n1"}}}))[0] == 200
    assert (await site.get("/v1/catalog/nodes")).json() == []


async def test_what_is_no_transaction_is_400(site: Site) -> None:
    for body in (b"", b"{", b"{}", b'[{"KV": {"Verb": "set", "Key": "a", "Value": "%%"}}]', b"[{}]", b'[{"Foo": {}}]'):
        answer = await site.put("/v1/txn", body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8"), body


async def test_a_read_tells_nobody_of_what_he_does_not_see(guarded: Site) -> None:
    """Neither the results nor any index move with keys that are denied."""
    tree = [{"KV": {"Verb": "get-tree", "Key": ""}}]
    answers = []
    for key in ("a", "b"):
        answer = await guarded.put("/v1/txn", tree)
        answers.append((answer.json(), answer.headers["X-Consul-Index"]))
        await guarded.put(f"/v1/kv/{key}", b"x", headers=guarded.as_operator())
    assert answers[0] == answers[1]
    assert answers[0][0]["Results"] == []
