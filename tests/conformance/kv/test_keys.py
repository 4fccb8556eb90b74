"""`/v1/kv` to the letter (reference: API surface, measured traps 3, 4, 5 and 7), over a real socket."""

import base64
from typing import Any

import pytest

from tests.fakes.app.raw_http import ask
from tests.fakes.catalog_site import Site


async def put(site: Site, key: str, value: bytes = b"", query: str = "") -> bool:
    answer = await site.put(f"/v1/kv/{key}?{query}", value)
    assert answer.status_code == 200, answer.text
    result: bool = answer.json()
    return result


async def get(site: Site, key: str) -> dict[str, Any]:
    answer = await site.get(f"/v1/kv/{key}")
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()
    assert isinstance(row, dict)
    return row


async def test_a_key_is_written_read_and_deleted(site: Site) -> None:
    assert await put(site, "web/port", b"80", "flags=42")
    row = await get(site, "web/port")
    assert (row["Key"], base64.b64decode(row["Value"]), row["Flags"], row["LockIndex"]) == ("web/port", b"80", 42, 0)
    assert row["CreateIndex"] == row["ModifyIndex"] == await site.index_of("/v1/kv/web/port")
    assert "Session" not in row
    assert (await site.request("DELETE", "/v1/kv/web/port")).text == "true"
    assert (await site.get("/v1/kv/web/port")).status_code == 404
    assert (await site.request("DELETE", "/v1/kv/web/port")).text == "true"


@pytest.mark.parametrize("query", ["", "?recurse", "?keys", "?raw"])
async def test_a_missing_key_is_404_without_a_body_but_with_an_index(site: Site, query: str) -> None:
    answer = await site.get(f"/v1/kv/missing{query}")
    assert (answer.status_code, answer.content) == (404, b"")
    assert int(answer.headers["X-Consul-Index"]) >= 1
    assert answer.headers["X-Consul-KnownLeader"] == "true"


async def test_an_equal_put_leaves_the_index_alone(site: Site) -> None:
    """Measured trap 4."""
    for value, moves in ((b"1", True), (b"1", False), (b"2", True)):
        before = site.engine.index
        assert await put(site, "a", value)
        assert (site.engine.index > before) is moves


async def test_cas(site: Site) -> None:
    assert not await put(site, "a", b"1", "cas=7")
    assert await put(site, "a", b"1", "cas=0")
    assert not await put(site, "a", b"2", "cas=0")
    index = (await get(site, "a"))["ModifyIndex"]
    assert await put(site, "a", b"2", f"cas={index}")
    for cas, deleted in ((0, "false"), (index, "false"), ((await get(site, "a"))["ModifyIndex"], "true")):
        assert (await site.request("DELETE", f"/v1/kv/a?cas={cas}")).text == deleted


async def tree(site: Site) -> None:
    for key in ("a", "a/1", "a/2/x", "a/2/y", "ab", "b"):
        assert await put(site, key, key.encode())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("a?keys", ["a", "a/1", "a/2/x", "a/2/y", "ab"]),
        ("a/?keys", ["a/1", "a/2/x", "a/2/y"]),
        ("a/?keys&separator=/", ["a/1", "a/2/"]),
        ("?keys&separator=/", ["a", "a/", "ab", "b"]),
        ("a/?keys&separator=%2F", ["a/1", "a/2/"]),
        ("a/2/?keys=false&separator=", ["a/2/x", "a/2/y"]),
        ("?keys&filter=nonsense", ["a", "a/1", "a/2/x", "a/2/y", "ab", "b"]),
    ],
)
async def test_names_of_keys(site: Site, query: str, found: list[str]) -> None:
    """By prefix, up to a separator; `filter` is not looked at."""
    await tree(site)
    assert (await site.get(f"/v1/kv/{query}")).json() == found


@pytest.mark.parametrize("query", ["recurse", "recurse=false", "recurse=true", "recurse&raw"])
async def test_recurse_gives_all_below_in_order(site: Site, query: str) -> None:
    """Its presence counts (measured)."""
    await tree(site)
    rows = (await site.get(f"/v1/kv/a/?{query}")).json()
    assert [row["Key"] for row in rows] == ["a/1", "a/2/x", "a/2/y"]
    assert [base64.b64decode(row["Value"]).decode() for row in rows] == [row["Key"] for row in rows]


async def test_recurse_deletes_all_below(site: Site) -> None:
    await tree(site)
    assert (await site.request("DELETE", "/v1/kv/a/?recurse")).text == "true"
    assert (await site.get("/v1/kv/?keys")).json() == ["a", "ab", "b"]
    assert (await site.request("DELETE", "/v1/kv/?recurse")).text == "true"
    assert (await site.get("/v1/kv/?keys")).status_code == 404


async def test_raw_is_the_value_alone(site: Site) -> None:
    """With what keeps a browser from running it."""
    value = bytes(range(256))
    await put(site, "a", value)
    answer = await site.get("/v1/kv/a?raw")
    assert (answer.status_code, answer.content) == (200, value)
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert int(answer.headers["X-Consul-Index"]) > 1


async def test_an_empty_value_is_null(site: Site) -> None:
    await put(site, "a")
    assert (await get(site, "a"))["Value"] is None
    assert (await site.get("/v1/kv/a?raw")).content == b""


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/v1/kv", "/v1/kv/"),
        ("/v1/kv?recurse", "/v1/kv/?recurse"),
        ("/v1/kv//a", "/v1/kv/a"),
        ("/v1/kv/a//b", "/v1/kv/a/b"),
        ("/v1/kv/a/./b", "/v1/kv/a/b"),
        ("/v1/kv/a/../b", "/v1/kv/b"),
        ("/v1/kv/a%2F%2Fb", "/v1/kv/a/b"),
        ("/v1/kv/a/%2e%2e/b", "/v1/kv/b"),
        ("/v1/kv//a?token=secret&raw", "/v1/kv/a?raw"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_odd_paths_are_redirected(site: Site, method: str, target: str, location: str) -> None:
    """Measured trap 7; nothing is written."""
    answer = await ask(site.port, method, target)
    assert (answer.status, answer.headers["location"]) == (307, location)
    assert (await site.get("/v1/kv/?keys")).status_code == 404


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("a%2Fb", "a/b"),
        ("a%3Fb", "a?b"),
        ("a/", "a/"),
        ("...", "..."),
        ("%C3%A9", "é"),
        ("a%0Ab", "a\nb"),
        ("%F0%9F%A6%86", "🦆"),
        ("a%25b", "a%b"),
    ],
)
async def test_keys_may_hold_anything_else(site: Site, target: str, key: str) -> None:
    """`+` stays a plus (measured)."""
    assert (await ask(site.port, "PUT", f"/v1/kv/{target}")).body == b"true"
    assert (await site.get("/v1/kv/?keys")).json() == [key]
    assert (await ask(site.port, "GET", f"/v1/kv/{target}")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "", 400, "Missing key name"),
        ("PUT", "", 400, "Missing key name"),
        ("DELETE", "", 400, "Missing key name"),
        ("PUT", "a?flags=x", 500, "flags"),
        ("PUT", "a?cas=x", 500, "cas"),
        ("PUT", "a?acquire=nobody", 500, 'invalid session "nobody"'),
        ("PUT", "a?acquire=", 500, "missing session"),
        ("PUT", "a?cas=0&acquire=s", 400, "Conflicting flags"),
        ("DELETE", "a?cas=1&recurse", 400, "Conflicting flags"),
        ("GET", "a?index=x", 400, "index"),
        ("GET", "a?stale&consistent", 400, "conflicting semantics"),
        ("GET", "a?dc=dc2", 500, "No path to datacenter"),
        ("PUT", "a?dc=dc2", 500, "No path to datacenter"),
        ("PUT", "a?ns=team", 400, "ns"),
        ("HEAD", "a", 405, ""),
        ("POST", "a", 405, "method POST not allowed"),
    ],
)
async def test_what_is_refused(site: Site, method: str, path: str, status: int, text: str) -> None:
    """Each with Consul's status."""
    answer = await site.request(method, f"/v1/kv/{path}")
    assert (answer.status_code, text in answer.text) == (status, True), answer.text
    assert (await site.get("/v1/kv/?keys")).status_code == 404


async def test_options_lists_the_methods(site: Site) -> None:
    answer = await site.request("OPTIONS", "/v1/kv/a")
    assert (answer.status_code, answer.headers["Allow"]) == (200, "OPTIONS,GET,PUT,DELETE")


async def test_pretty_is_indented(site: Site) -> None:
    await put(site, "a", b"1")
    assert (await site.get("/v1/kv/a?keys&pretty")).text == '[\n    "a"\n]\n'


async def test_a_stranger_neither_reads_nor_writes(guarded: Site) -> None:
    """Keys are not public, whether they are there or not; lists are empty."""
    await guarded.put("/v1/kv/secret", b"x", headers=guarded.as_operator())
    refusals = set()
    for key in ("secret", "nothing"):
        for method, query in (("GET", ""), ("GET", "?raw"), ("PUT", ""), ("DELETE", "")):
            answer = await guarded.request(method, f"/v1/kv/{key}{query}")
            refusals.add((method, answer.status_code, answer.text.replace(key, "KEY")))
    assert {status for _, status, _ in refusals} == {403}
    assert len(refusals) == 3
    assert (await guarded.request("DELETE", "/v1/kv/?recurse")).status_code == 403
    for query in ("?recurse", "?keys"):
        assert (await guarded.get(f"/v1/kv/{query}")).status_code == 404
    operation = {"KV": {"Verb": "get", "Key": "secret"}}
    assert (await guarded.put("/v1/txn", [operation])).status_code == 403
    tree = (await guarded.put("/v1/txn", [{"KV": {"Verb": "get-tree", "Key": ""}}])).json()
    assert tree["Results"] == []
    assert (await guarded.get("/v1/kv/secret?raw", headers=guarded.as_operator())).text == "x"
