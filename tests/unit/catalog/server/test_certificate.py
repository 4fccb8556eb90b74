"""The catalog's own certificate: a new context for a new leaf or new roots, and renewal in time."""

from typing import Any

import trio

from catalog.authority.authority import revoke_change
from catalog.server.certificate import RENEW_FROM, RENEW_TO, ServerCertificate
from tests.fakes.catalog_calls import open_api


async def test_a_context_is_kept_until_leaf_or_roots_change() -> None:
    async with open_api() as api:
        certificate = ServerCertificate(api.authority, api.roots, api.epoch)
        first = certificate.context()
        assert certificate.context() is first
        certificate.renew()
        second = certificate.context()
        assert second is not first
        await api.submit(revoke_change("0A"))
        assert certificate.context() is not second


async def test_it_is_renewed_in_the_second_half_of_its_life(autojump_clock: Any) -> None:
    """At a random point, well before the end; and again, and again."""
    start_s = 1_800_000_000.0

    def epoch() -> float:
        return start_s + trio.current_time()

    async with open_api(epoch=epoch) as api:
        began_s = trio.current_time()
        certificate = ServerCertificate(api.authority, api.roots, epoch)
        serials = {certificate.leaf.serial}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(certificate.keep_fresh)
            life_s = certificate.leaf.not_after_s - certificate.leaf.not_before_s
            await trio.sleep(life_s * RENEW_FROM - 120)
            assert certificate.leaf.serial in serials
            await trio.sleep(life_s * (RENEW_TO - RENEW_FROM) + 240)
            assert certificate.leaf.serial not in serials
            serials.add(certificate.leaf.serial)
            await trio.sleep(life_s)
            assert certificate.leaf.serial not in serials
            assert certificate.leaf.not_after_s > start_s + trio.current_time() - began_s
            nursery.cancel_scope.cancel()
