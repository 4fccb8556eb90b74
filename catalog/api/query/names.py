"""Prepared queries as DNS asks them: a name in, endpoints in the query's order out (`QueryExecutor` of `catalog.dns`)."""

from collections.abc import Callable, Iterable, Mapping

from catalog.access.authorizer import Authorizer
from catalog.api.query.runner import Ask, QueryRunner
from catalog.compile.queries.definition import InvalidQueryError
from catalog.compile.queries.pick import Candidate
from catalog.dns.answer.directory import Endpoint, Found, HostEntry, place_of
from catalog.state.state import State
from mesh.model.endpoint import Health

_SEVERITY: Mapping[Health, int] = {Health.PASSING: 0, Health.WARNING: 1, Health.CRITICAL: 2}


class DnsQueries:
    """Runs queries with the rights that DNS has at the moment."""

    def __init__(self, state: Callable[[], State], authorizer: Callable[[], Authorizer], runner: QueryRunner) -> None:
        self._state = state
        self._authorizer = authorizer
        self._runner = runner

    def execute(self, name: str) -> Found | None:
        """What the query for a name or id finds; None if there is none, or its template cannot be filled in."""
        try:
            executed = self._runner.run(self._state(), name, self._authorizer(), Ask())
        except InvalidQueryError:
            return None
        if executed is None:
            return None
        ignored = frozenset(executed.query.service.ignore_check_ids)
        return Found([_endpoint(one, ignored) for one in executed.found], executed.query.ttl_s)


def _endpoint(one: Candidate, ignored: Iterable[str]) -> Endpoint:
    """The instance; its health is the worst of the checks that the query looks at."""
    node, instance = one.node, one.instance
    statuses = (check.status for check in one.checks if check.check_id not in ignored)
    health = max(statuses, key=_SEVERITY.__getitem__, default=Health.PASSING)
    return Endpoint(
        instance.service,
        HostEntry(node.node, place_of(node.address), node.datacenter, node.meta),
        place_of(instance.address) if instance.address else None,
        instance.port,
        frozenset(tag.lower() for tag in instance.tags),
        instance.weights.warning if health is Health.WARNING else instance.weights.passing,
        health,
    )
