"""A catalog of its own process that registers and prints each acknowledged registration, until somebody kills it.

Run by test_kill.py: `registering_child.py FILE ROUND`. A line is `<number> <index of the catalog at the answer>`.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import trio

from catalog.engine import Catalog
from catalog.state.changes import Register
from catalog.state.records import Check, Node, ServiceInstance
from catalog.store.sqlite import open_sqlite

REGISTRATIONS = 1000
SENDERS = 100
COMPACT_EVERY = 300


async def send(catalog: Catalog, turn: str, numbers: Iterator[int]) -> None:
    """Register the next number and say so once the catalog has answered."""
    for number in numbers:
        service = f"s{turn}-{number}"
        node = Node(f"n{number % 50}", "10.0.0.1")
        await catalog.submit(Register(node, (ServiceInstance(service),), (Check(f"c-{service}", service_id=service),)))
        os.write(1, b"%d %d\n" % (number, catalog.index))


async def main(path: Path, turn: str) -> None:
    """Register all numbers through many senders at once, then wait to be killed."""
    catalog = await Catalog.open(await open_sqlite(path), compact_every=COMPACT_EVERY)
    numbers = iter(range(REGISTRATIONS))
    async with trio.open_nursery() as nursery:
        await nursery.start(catalog.run)
        async with trio.open_nursery() as senders:
            for _ in range(SENDERS):
                senders.start_soon(send, catalog, turn, numbers)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
