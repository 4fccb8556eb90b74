"""Leaves are kept, renewed at half of their life, and waited for by index; in virtual time."""

import msgspec
import pytest
import trio
import trio.testing

from agents.vm.api.call import CallError
from agents.vm.api.connect.leaves import MAX_LEAVES, Leaves, make_in_thread
from agents.vm.api.host import Host
from agents.vm.local.registrar import RegistrarError
from mesh.identity.keygen import make_key_and_csr_pem
from mesh.wire.sync import LeafRequest, LeafResponse
from tests.fakes.agent.host import build_host

LIFE_S = 1000.0


class Catalog:
    """Signs whatever it is asked to, for a thousand seconds."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.is_away = False

    async def __call__(self, method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        await trio.lowlevel.checkpoint()
        if self.is_away:
            raise RegistrarError("gone")
        if target == "/v1/connect/ca/roots":
            return 200, b'{"TrustDomain": "td.example"}'
        assert (method, target) == ("POST", "/v1/linkspan/leaf")
        request = msgspec.json.decode(body, type=LeafRequest)
        assert request.csr_pem.startswith("-----BEGIN CERTIFICATE REQUEST-----")
        assert not token
        self.asked += 1
        now_s = trio.current_time()
        leaf = LeafResponse("PEM", f"uri-{self.asked}", "01", now_s, now_s + LIFE_S)
        return self.status, msgspec.json.encode(leaf) if self.status == 200 else b"Permission denied: no"


def scene() -> tuple[Catalog, Leaves, Host]:
    catalog = Catalog()
    host = build_host(own_call=catalog)
    return catalog, Leaves(host, trio.current_time, make_at_once), host


async def make_at_once(uri: str) -> bytes:
    """Without a thread, for which virtual time would not wait."""
    await trio.lowlevel.checkpoint()
    return make_key_and_csr_pem(uri)


async def test_a_leaf_is_made_once_and_kept(autojump_clock: trio.testing.MockClock) -> None:
    """Also when many ask at once; its key is a key."""
    catalog, leaves, _ = scene()
    found = []

    async def ask() -> None:
        found.append(await leaves.leaf("web", 0, 1))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert catalog.asked == 1
    assert {one.index for one in found} == {found[0].index}
    assert found[0].key_pem.startswith("-----BEGIN PRIVATE KEY-----")
    assert (await leaves.leaf("api", 0, 1)).index == found[0].index + 1


async def test_it_is_renewed_at_half_of_its_life(autojump_clock: trio.testing.MockClock) -> None:
    """Who waits with its index gets the next one then; who waits shorter gets the present one."""
    _, leaves, _ = scene()
    first = await leaves.leaf("web", 0, 1)
    assert (await leaves.leaf("web", first.index, 10)).index == first.index
    began_s = trio.current_time()
    second = await leaves.leaf("web", first.index, 600)
    assert second.index > first.index
    assert second.create_index == first.index
    assert trio.current_time() - began_s == pytest.approx(LIFE_S / 2 - 10, abs=1)


async def test_while_the_catalog_is_away_a_valid_leaf_serves(autojump_clock: trio.testing.MockClock) -> None:
    """Until it has lapsed; it is tried again for who waits."""
    catalog, leaves, _ = scene()
    first = await leaves.leaf("web", 0, 1)
    catalog.is_away = True
    await trio.sleep(LIFE_S * 0.6)
    assert await leaves.leaf("web", first.index, 100) == first
    await trio.sleep(LIFE_S)
    with pytest.raises(CallError) as caught:
        await leaves.leaf("web", 0, 1)
    assert caught.value.status == 503


async def test_a_refusal_is_passed_on() -> None:
    """In the catalog's words; nothing is kept."""
    catalog, leaves, _ = scene()
    catalog.status = 403
    for _ in range(2):
        with pytest.raises(CallError, match="Permission denied: no") as caught:
            await leaves.leaf("web", 0, 1)
        assert caught.value.status == 403
    assert catalog.asked == 2


async def test_odd_answers_are_an_error() -> None:
    """Of the catalog's side."""

    async def odd(method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        await trio.lowlevel.checkpoint()
        return 200, b"{"

    with pytest.raises(CallError) as caught:
        await Leaves(build_host(own_call=odd)).leaf("web", 0, 1)
    assert caught.value.status == 502


async def test_keys_are_made_beside_the_loop() -> None:
    """One key and one request."""
    pem = await make_in_thread("spiffe://td.example/ns/default/dc/dc1/svc/web")
    assert pem.count(b"-----BEGIN ") == 2


def test_what_is_kept_is_bounded() -> None:
    """As many as a host may have services."""
    assert MAX_LEAVES == 2048
