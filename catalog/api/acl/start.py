"""What access control does beside answering: the first token of the settings at the start, and the end of tokens' time."""

import trio

from catalog.access.acl.builtin import INITIAL
from catalog.access.acl.model import (
    BOOTSTRAP,
    BOOTSTRAP_KEY,
    MANAGEMENT_ID,
    SECRETS,
    TOKENS,
    Rights,
    Token,
    read_kept,
    secret_hash,
)
from catalog.api.acl.records import new_id, token_creation, token_deletion
from catalog.api.api import Api
from catalog.api.http.errors import UnavailableError
from catalog.state.changes import Batch, PutRecord
from catalog.state.errors import ConflictError

EXPIRE_EVERY_S = 60.0
AT_ONCE = 50


async def keep_initial_tokens(api: Api) -> None:
    """Make the management token that the settings name, if it is not there; after that there is nothing to bootstrap."""
    settings = api.gate.acl
    if not (settings.enabled and settings.initial_management):
        return
    hashed = secret_hash(settings.initial_management)
    if api.parking.state.record(SECRETS, hashed) is not None:
        return
    token = Token(new_id(), hashed, INITIAL, Rights((MANAGEMENT_ID,)), created_s=api.epoch())
    done = PutRecord(BOOTSTRAP, BOOTSTRAP_KEY, token.accessor.encode())
    try:
        await api.submit(Batch((done, *token_creation(token))))
    except ConflictError:  # another process on the same store was first
        return


async def expire_tokens(api: Api, every_s: float = EXPIRE_EVERY_S) -> None:
    """Remove tokens whose time is over, for ever; until then nobody can use them any more, either."""
    while True:
        await trio.sleep(every_s)
        await remove_expired(api)


async def remove_expired(api: Api) -> int:
    """Remove the tokens whose time is over; how many. Looks at a few at a time, so that nobody waits for it."""
    removed = 0
    records = api.parking.state.records(TOKENS)
    for first in range(0, len(records), AT_ONCE):
        await trio.lowlevel.checkpoint()
        tokens = [read_kept(record, Token) for record in records[first : first + AT_ONCE]]
        over = [token for token in tokens if token is not None and token.is_over(api.epoch())]
        if over:
            try:
                await api.submit(Batch(tuple(change for token in over for change in token_deletion(token))))
            except UnavailableError:  # busy: the next round finds them again
                return removed
            removed += len(over)
    return removed
