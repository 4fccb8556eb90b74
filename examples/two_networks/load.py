"""A steady load of idempotent requests, and what came back."""

import collections
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import trio


@dataclass
class Tally:
    """Answers by instance, and every failure with what it was."""

    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.answers.values())


async def ask(client: httpx2.AsyncClient, url: str, tally: Tally) -> None:
    """One GET, counted."""
    try:
        answer = await client.get(url)
    except httpx2.HTTPError as error:
        tally.failures.append(f"{type(error).__name__}: {error}")
        return
    if answer.status_code == 200:
        tally.answers[answer.json()["instance"]] += 1
    else:
        tally.failures.append(f"{answer.status_code}: {answer.text[:120]}")


async def many(url: str, count: int, concurrency: int = 8) -> Tally:
    """`count` GETs, `concurrency` at a time."""
    tally, left = Tally(), iter(range(count))

    async def worker(client: httpx2.AsyncClient) -> None:
        for _ in left:
            await ask(client, url, tally)

    async with httpx2.AsyncClient(timeout=20) as client, trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(worker, client)
    return tally


@asynccontextmanager
async def steady(url: str, concurrency: int = 4, pause_s: float = 0.005) -> AsyncIterator[Tally]:
    """GETs going on while the block runs; the tally is complete when it ends."""
    tally = Tally()
    stopping = False

    async def worker(client: httpx2.AsyncClient) -> None:
        while not stopping:
            await ask(client, url, tally)
            await trio.sleep(pause_s)

    failure: Exception | None = None
    async with httpx2.AsyncClient(timeout=20) as client, trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(worker, client)
        try:
            yield tally
        except Exception as error:  # noqa: BLE001 - raised again below, outside the nursery that would wrap it in a group
            failure = error
        stopping = True
    if failure is not None:
        raise failure
