"""Bad input over a real socket: 400, 405, 408 and 413 with a text that names the field; nothing breaks the server."""

from typing import Any

import pytest
import trio

from catalog.api.http.endpoint import REGISTRATION_BYTES
from tests.fakes.catalog_site import Site

REGISTER = "/v1/catalog/register"


@pytest.mark.parametrize(
    ("body", "status", "names"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "decode failed"),
        (b"nonsense", 400, "decode failed"),
        (b"\xff", 400, "decode failed"),
        (b"[]", 400, "object"),
        (b'"text"', 400, "object"),
        (b"null", 400, "object"),
        (b"[" * 100_000, 400, "decode failed"),
        ({"Node": "n", "Address": "a", "Servce": {}}, 400, 'unknown field "Servce"'),
        ({"Node": "n", "Address": "a", "node_meta": {}}, 400, 'unknown field "node_meta"'),
        ({"Node": "n", "Address": "a", "Service": {"Service": "s", "Prot": 1}}, 400, 'unknown field "Service.Prot"'),
        ({"Node": 1}, 400, 'field "Node"'),
        ({"Node": "n", "Address": "a", "Service": {"Service": "s", "Port": "80"}}, 400, 'field "Service.Port"'),
        ({"Node": "n", "Address": "a", "Service": {"Service": "s", "Port": 70000}}, 400, "Service.Port"),
        ({"Node": "n", "Address": "a", "Service": {"Port": 1}}, 400, "Service.Service"),
        ({"Node": "n", "Address": "a", "Service": []}, 400, 'field "Service"'),
        ({"Node": "n", "Address": "a", "Check": {"Name": "c", "Status": "fine"}}, 400, 'field "Check.Status"'),
        ({"Node": "n", "Address": "a", "Check": {"Name": "c", "ServiceID": "none"}}, 400, "Check.ServiceID"),
        ({"Node": "n", "Address": "a", "Checks": [{"Definition": 1}]}, 400, 'field "Checks['),
        ({"Node": "n" * 300, "Address": "a"}, 400, "Node"),
        ({"Node": "n", "Address": "a", "NodeMeta": {"k": "v" * 600}}, 400, "NodeMeta"),
        ({"Node": "n", "Address": "a", "Partition": "p"}, 400, "Partition"),
        ({"Node": "n", "Address": "a", "Service": {"Service": "s", "Namespace": "team"}}, 400, "Service.Namespace"),
        # Consul's own status for these (measured: user errors are often 500).
        ({"Address": "a"}, 500, "Node"),
        ({"Node": "n"}, 500, "Address"),
        ({"Node": "n", "Address": "a", "Datacenter": "dc2"}, 500, "No path to datacenter"),
    ],
)
async def test_a_bad_registration_is_refused_by_name(site: Site, body: Any, status: int, names: str) -> None:
    answer = await site.put(REGISTER, body)
    assert (answer.status_code, names in answer.text) == (status, True), answer.text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert (await site.get("/v1/catalog/nodes")).json() == []


@pytest.mark.parametrize("size", [REGISTRATION_BYTES + 1, 4 * REGISTRATION_BYTES, 30 * REGISTRATION_BYTES])
async def test_a_body_over_the_bound_is_413(site: Site, size: int) -> None:
    """The sender gets to read it, and the text says how much is read."""
    answer = await site.put(REGISTER, b" " * size)
    assert (answer.status_code, str(REGISTRATION_BYTES) in answer.text) == (413, True)


async def test_a_body_of_the_bound_is_read(site: Site) -> None:
    body = b'{"Node": "n1", "Address": "a"}'
    assert (await site.put(REGISTER, body.ljust(REGISTRATION_BYTES))).text == "true"


async def test_a_read_with_a_body_over_the_bound_is_413(site: Site) -> None:
    assert (await site.request("GET", "/v1/catalog/nodes", b" " * (REGISTRATION_BYTES + 1))).status_code == 413


async def raw(site: Site, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send bytes as they are and read until the server closes or falls silent."""
    stream = await trio.open_tcp_stream("127.0.0.1", site.port)
    received = b""
    async with stream:
        for part in parts:
            await stream.send_all(part)
            await trio.sleep(pause_s)
        with trio.move_on_after(0.5):
            while chunk := await stream.receive_some(65536):
                received += chunk
    return received


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/catalog/nodes HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET /v1/catalog/nodes HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n", b"400"),
        (b"GET /v1/catalog/nodes HTTP/1.1\r\nHost : a\r\n\r\n", b"400"),
        (b"GET /v1/catalog/nodes HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n", b"400"),
        (b"GET /v1/catalog/\x80 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /v1/catalog/nodes HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
        (b"PUT /v1/catalog/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (
            b"PUT /v1/catalog/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"400",
        ),
        (b"PUT /v1/catalog/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
    ],
)
async def test_a_malformed_head_is_refused(site: Site, head: bytes, status: bytes) -> None:
    answer = await raw(site, head)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert (await site.get("/v1/status/leader")).status_code == 200


async def test_a_body_that_stops_half_way_is_nobodys(site: Site) -> None:
    """A client that announces more than it sends and goes leaves nothing behind."""
    await raw(site, b"PUT /v1/catalog/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    assert (await site.get("/v1/catalog/nodes")).json() == []


async def test_names_in_paths_may_hold_anything(site: Site) -> None:
    """Percent-encoded bytes, spaces, dots: an unknown name is an empty answer, never an error."""
    for name in ("%20", "%00", "..%2f..", "%F0%9F%A6%86", "a" * 5000):
        answer = await site.get(f"/v1/health/service/{name}")
        assert answer.status_code in {200, 404}, (name, answer.text)
