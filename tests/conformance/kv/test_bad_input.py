"""Bad input to keys, sessions and transactions over a real socket: refused with the right code, and nothing is kept."""

from typing import Any

import msgspec
import pytest

from catalog.state.limits import MAX_KEY_BYTES, MAX_VALUE_BYTES
from tests.fakes.app.raw_http import ask
from tests.fakes.catalog_site import Site

MIB = 1024 * 1024


async def nothing_is_kept(site: Site) -> None:
    assert (await site.get("/v1/kv/?keys")).status_code == 404
    assert (await site.get("/v1/session/list")).json() == []


async def test_a_value_of_the_bound_is_kept(site: Site) -> None:
    """512 KiB, of any bytes."""
    value = bytes(range(256)) * (MAX_VALUE_BYTES // 256)
    assert (await site.put("/v1/kv/a", value)).text == "true"
    assert (await site.get("/v1/kv/a?raw")).content == value


@pytest.mark.parametrize("size", [MAX_VALUE_BYTES + 1, MIB, 10 * MIB, 16 * MIB])
async def test_a_larger_value_is_413(site: Site, size: int) -> None:
    """The sender gets to read it, and the text says the bound; also when it locks or compares."""
    for query in ("", "?cas=0"):
        answer = await site.put(f"/v1/kv/a{query}", bytes(size))
        assert (answer.status_code, str(MAX_VALUE_BYTES) in answer.text) == (413, True)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    await nothing_is_kept(site)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("a%00b", 400),
        ("%00", 400),
        ("a" * (MAX_KEY_BYTES + 1), 400),
        ("%C3%A9" * (MAX_KEY_BYTES // 2 + 1), 400),
        ("a%FF", 400),
        ("a%ZZ", 400),
        ("%C0%80", 400),
        ("a" * 70_000, 431),
    ],
)
async def test_a_key_that_cannot_be(site: Site, target: str, status: int) -> None:
    """NULs, too long, no UTF-8: refused when written, and not there when read."""
    assert (await ask(site.port, "PUT", f"/v1/kv/{target}", b"x")).status == status
    assert (await ask(site.port, "GET", f"/v1/kv/{target}")).status in {400, 404, 431}
    assert (await ask(site.port, "DELETE", f"/v1/kv/{target}")).status in {200, 400, 431}
    await nothing_is_kept(site)


async def test_the_longest_key_is_kept(site: Site) -> None:
    key = "a" * MAX_KEY_BYTES
    assert (await site.put(f"/v1/kv/{key}", b"x")).text == "true"
    assert (await site.get("/v1/kv/?keys")).json() == [key]


def kv(**fields: Any) -> dict[str, Any]:
    return {"KV": {"Verb": "set", "Key": "a", **fields}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([kv()] * 129, 413),
        ([kv()] * 10_000, 413),
        ([{}] * 10_000, 413),
        ([kv(Value="A" * 600_000)], 413),
        (b" " * (10 * MIB), 413),
        (b"[" * 100_000, 400),
        (b'[{"KV": ' * 1000, 400),
        ([kv(Key="a\0")], 409),
        ([kv(Key="a" * (MAX_KEY_BYTES + 1))], 409),
        ([kv(Key="")], 409),
        ([kv(Flags=-1)], 400),
        ([kv(Index=-1)], 400),
        ([kv(Index=2**64)], 400),
        ([kv(Flags=2**64)], 400),
        ([kv(Flags=1.5)], 400),
        ([kv(Flags=10**40)], 400),
        ([kv(Value="not base64!")], 400),
        ([kv(Value={"a": 1})], 400),
        ([kv(Verb="v" * 10_000)], 409),
        (b'[{"KV": {"Verb": "set", "Key": "\\ud800"}}]', 400),
        (b'[{"KV": {"Verb": "set", "Key": "a\xff"}}]', 400),
        ([{"Node": {"Verb": "set", "Node": {"Node": "n" * 300, "Address": "a"}}}], 409),
        ([{"Node": {"Verb": "set", "Node": {"Node": "n\0", "Address": "a"}}}], 409),
        ([{"Service": {"Verb": "set", "Node": "none", "Service": {"Service": "s"}}}], 409),
        ([{"Check": {"Verb": "set", "Check": {"Node": "none", "Name": "c"}}}], 409),
        ([{"Service": {"Verb": "set", "Node": "n", "Service": {"Service": "s", "Port": "x"}}}], 400),
    ],
)
async def test_a_transaction_that_cannot_be(site: Site, body: Any, status: int) -> None:
    """Too many, too large, too deep, no JSON, or wrong values: and none of its operations is done."""
    answer = await site.put("/v1/txn", body)
    assert answer.status_code == status, answer.text[:200]
    assert "internal error" not in answer.text
    assert len(answer.content) < 10_000, "what is refused is not sent back at length"
    await nothing_is_kept(site)
    assert (await site.get("/v1/catalog/nodes")).json() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b" " * MIB, 413),
        ({"Name": "n" * 600}, 500),
        ({"Name": "a\0b"}, 500),
        ({"Name": 5}, 400),
        ({"NodeChecks": ["c"] * 1000}, 500),
        ({"NodeChecks": [1]}, 400),
        ({"NodeChecks": [""]}, 500),
        ({"Node": "a\0"}, 500),
        ({"TTL": "9" * 100 + "s"}, 500),
        ({"TTL": "1e9s"}, 500),
        ({"LockDelay": 10**30}, 500),
        ({"LockDelay": 1e300}, 500),
        ({"LockDelay": -(10**15)}, 500),
        ({"LockDelay": {}}, 400),
        ({"ServiceChecks": ["c"]}, 400),
        ({"ServiceChecks": [{"ID": "c" * 10_000}]}, 500),
    ],
)
async def test_a_session_that_cannot_be(own: Site, body: Any, status: int) -> None:
    answer = await own.put("/v1/session/create", body)
    assert answer.status_code == status, answer.text[:200]
    assert "internal error" not in answer.text
    assert len(answer.content) < 10_000
    await nothing_is_kept(own)


@pytest.mark.parametrize("path", ["session/info", "session/renew", "session/destroy", "session/node"])
async def test_session_names_in_paths_may_hold_anything(own: Site, path: str) -> None:
    """An unknown one is no error but for a renewal."""
    method = "GET" if path in {"session/info", "session/node"} else "PUT"
    for name in ("%00", "%F0%9F%A6%86", "a" * 5000, "..%20"):
        answer = await ask(own.port, method, f"/v1/{path}/{name}")
        assert answer.status == (404 if path == "session/renew" else 200), answer
        assert len(answer.body) < 300


async def test_two_hundred_locks_on_one_key_leave_one_holder(own: Site) -> None:
    """Contenders at once, each with a session: one gets it, and failed attempts cost no index."""
    ids = [(await own.put("/v1/session/create")).json()["ID"] for _ in range(20)]
    before = own.engine.index
    won = []
    for _ in range(10):
        won += [one for one in ids if (await own.put(f"/v1/kv/lock?acquire={one}", b"x")).json()]
    assert set(won) == {ids[0]}
    assert own.engine.index == before + 1


async def test_text_of_a_refusal_is_no_markup_and_no_secret(guarded: Site) -> None:
    """What a caller sends comes back, if at all, as plain text, and its token never."""
    answer = await guarded.put("/v1/kv/<script>?acquire=<b>&token=lso_secret", b"x")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "lso_secret" not in answer.text
    assert msgspec.json.encode(answer.text)
