"""Handlers called without a socket: an `Api` over a running in-memory engine, and `Call` values made by hand.

It must never be imported by anything but tests.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from catalog.access.authorizer import EVERYTHING, NOTHING
from catalog.access.callers import OPERATOR, Caller
from catalog.access.rights import authorizer_of
from catalog.api.api import Api
from catalog.api.http.call import Call
from catalog.api.http.query import parse_query
from catalog.authority.authority import Authority
from catalog.authority.signer import make_root
from catalog.engine import Catalog
from catalog.store.memory import MemoryStore

_ROOT = make_root("test.consul", time.time())


@asynccontextmanager
async def open_api(**settings: Any) -> AsyncIterator[Api]:
    """An `Api` whose engine runs; works under a virtual clock."""
    engine = await Catalog.open(MemoryStore())
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        yield Api(engine, Authority(_ROOT, "dc1"), **settings)
        nursery.cancel_scope.cancel()


def make_call(
    method: str = "GET", query: str = "", body: Any = None, *, caller: Caller = OPERATOR, **path: str
) -> Call:
    """A request as a handler gets it; `body` is JSON unless it is bytes already."""
    raw = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    parsed = parse_query(query.encode(), datacenter="dc1")
    return Call(method, path, parsed, {}, raw, caller, authorizer=authorizer_of(caller))


def powerless(call: Call) -> Call:
    """The same call, by somebody who may do nothing."""
    return msgspec.structs.replace(call, authorizer=NOTHING)


def mighty(call: Call) -> Call:
    """The same call, by somebody who may do everything."""
    return msgspec.structs.replace(call, authorizer=EVERYTHING)
