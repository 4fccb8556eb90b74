"""Puts a runner of prepared queries together for a catalog, and the one that its DNS asks: here comes the randomness in."""

import random

from catalog.access.callers import ANONYMOUS
from catalog.api.api import Api
from catalog.api.query.names import DnsQueries
from catalog.api.query.runner import QueryRunner, Shuffle
from catalog.api.query.store import QueryStore
from catalog.api.query.tokens import rights_of


def make_runner(api: Api, store: QueryStore, shuffle: Shuffle = random.shuffle) -> QueryRunner:
    """Runs the queries of a catalog, each with its token's rights or its asker's."""
    return QueryRunner(store, api.node, shuffle, lambda accessor: rights_of(api.gate, accessor))


def make_dns_queries(api: Api, shuffle: Shuffle = random.shuffle) -> DnsQueries:
    """What DNS asks (`catalog.dns.answer.directory.QueryExecutor`), with the anonymous token's rights."""
    runner = make_runner(api, QueryStore(), shuffle)
    return DnsQueries(lambda: api.parking.state, lambda: api.gate.authorizer(ANONYMOUS), runner)
