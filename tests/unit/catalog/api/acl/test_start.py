"""The first token of the settings, once; and tokens whose time is over go."""

import trio

from catalog.access.acl.model import SECRETS, TOKENS, Token, secret_hash
from catalog.access.acl.settings import OFF, AclSettings
from catalog.api.acl.records import AclRecords, token_creation
from catalog.api.acl.start import EXPIRE_EVERY_S, expire_tokens, keep_initial_tokens, remove_expired
from tests.fakes.catalog_calls import open_api


async def test_the_first_token_is_made_once() -> None:
    async with open_api(acl=AclSettings(initial_management="s3cret")) as api:
        await keep_initial_tokens(api)
        await keep_initial_tokens(api)
        (token,) = [token for token, _ in AclRecords(api).all_of(TOKENS, Token)]
        assert (token.description, token.secret_sha256) == ("Initial Management Token", secret_hash("s3cret"))
        assert api.gate.resolver.token_of("s3cret") == token


async def test_without_one_nothing_is_made() -> None:
    for settings in (AclSettings(), OFF):
        async with open_api(acl=settings) as api:
            await keep_initial_tokens(api)
            assert api.parking.state.records(TOKENS) == []


async def test_tokens_go_when_their_time_is_over(autojump_clock: trio.testing.MockClock) -> None:
    now = [100.0]
    async with open_api(epoch=lambda: now[0]) as api:
        records = AclRecords(api)
        for number in range(120):
            end_s = 200.0 if number % 2 else 0.0
            await records.write(token_creation(Token(f"t{number}", secret_hash(f"s{number}"), expires_s=end_s)), "")
        assert await remove_expired(api) == 0
        now[0] = 200.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expire_tokens, api)
            await trio.sleep(EXPIRE_EVERY_S + 1)
            nursery.cancel_scope.cancel()
        assert len(api.parking.state.records(TOKENS)) == len(api.parking.state.records(SECRETS)) == 60
