"""The identity in use and its replacement."""

import pytest
import trio

from mesh.identity.context import UnusableIdentityError
from mesh.identity.live import LiveIdentity
from tests.fakes.authority import Authority, service_uri

AUTHORITY = Authority()
ROOTS = AUTHORITY.roots()
OLD, NEW = (AUTHORITY.leaf(service_uri("web")) for _ in range(2))


def test_contexts_live_until_the_next_replacement():
    """The same context is handed out until leaf or roots change, then a new one: nothing is changed in place."""
    live = LiveIdentity(OLD, ROOTS)
    server, client = live.server_context(("a",)), live.client_context(("a",))
    assert live.server_context(("a",)) is server
    assert live.client_context(("a",)) is client
    assert live.server_context(("b",)) is not server
    assert live.replace(NEW)
    assert live.version == 2
    assert live.leaf == NEW
    assert live.server_context(("a",)) is not server
    assert live.client_context(("a",)) is not client


def test_a_revocation_makes_new_contexts():
    """Any change of roots or revocations counts as a change."""
    live = LiveIdentity(OLD, ROOTS)
    server = live.server_context()
    assert live.replace(roots=AUTHORITY.roots(revoked_serials=("ab",)))
    assert live.server_context() is not server


def test_roots_at_a_later_index_change_nothing():
    """The same trust made from a later catalog keeps contexts and connections."""
    live = LiveIdentity(OLD, ROOTS)
    server = live.server_context()
    assert not live.replace(OLD, AUTHORITY.roots(index=9))
    assert live.version == 1
    assert live.roots.index == 9
    assert live.server_context() is server


def test_what_cannot_be_used_changes_nothing():
    """A leaf of another trust domain or with the wrong key is refused and the one in use stays."""
    live = LiveIdentity(OLD, ROOTS)
    stranger = AUTHORITY.leaf(service_uri("web", "other.mesh"))
    with pytest.raises(UnusableIdentityError, match="trust domain"):
        live.replace(stranger)
    with pytest.raises(UnusableIdentityError, match="cannot be used together"):
        live.replace(AUTHORITY.sign(_csr_of_another_key()))
    with pytest.raises(UnusableIdentityError, match="our own certificate"):
        LiveIdentity(AUTHORITY.leaf(), ROOTS)
    assert live.leaf == OLD
    assert live.version == 1


def _csr_of_another_key() -> str:
    from mesh.identity.keygen import make_key_and_csr_pem

    pem = make_key_and_csr_pem(service_uri("web")).decode()
    return pem[pem.index("-----BEGIN CERTIFICATE REQUEST") :]


async def test_waiters_wake_at_replacement(autojump_clock: trio.testing.MockClock):
    """`wait_newer` returns at once for an old version and otherwise at the next replacement."""
    live = LiveIdentity(OLD, ROOTS)
    assert await live.wait_newer(0) == 1

    async def rotate() -> None:
        await trio.sleep(5)
        live.replace(NEW)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rotate)
        assert await live.wait_newer(1) == 2
        assert trio.current_time() == pytest.approx(autojump_clock.current_time())
