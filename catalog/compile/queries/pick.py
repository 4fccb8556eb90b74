"""Which instances answer a query: healthy enough, with the tags and meta that it asks for.

It reads the state and orders nothing; what may be seen is decided by who asks.
"""

from collections.abc import Iterable, Mapping

import msgspec

from catalog.compile.queries.definition import QueryService
from catalog.state.records import Check, Node, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health


class Candidate(msgspec.Struct, frozen=True):
    """An instance with its node and every check that decides its health."""

    node: Node
    instance: ServiceInstance
    checks: tuple[Check, ...]


def candidates(state: State, service: QueryService, *, connect: bool = False) -> list[Candidate]:
    """The instances that a rendered query keeps, by node and id. `connect`: what mesh callers dial, whatever it says."""
    by_connect = connect or service.connect
    rows = state.connect(service.service) if by_connect else state.service(service.service)
    ignored = frozenset(service.ignore_check_ids)
    found = []
    for instance in rows:
        node = state.node(instance.node)
        if node is None or not _wanted(node, instance, service):
            continue
        checks = tuple(state.instance_checks(instance))
        if _healthy((check for check in checks if check.check_id not in ignored), service.only_passing):
            found.append(Candidate(node, instance, checks))
    return found


def _wanted(node: Node, instance: ServiceInstance, service: QueryService) -> bool:
    return (
        _has(node.meta, service.node_meta)
        and _has(instance.meta, service.service_meta)
        and _tagged(instance.tags, service.tags)
    )


def _has(meta: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(meta.get(key) == value for key, value in wanted.items())


def _tagged(tags: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether all are there; one that begins with `!` must not be. Letter case does not count."""
    own = {tag.lower() for tag in tags}
    return all((tag[1:].lower() not in own) if tag.startswith("!") else (tag.lower() in own) for tag in wanted)


def _healthy(checks: Iterable[Check], only_passing: bool) -> bool:
    """None is critical; with `only_passing` each is passing."""
    return all(
        check.status is Health.PASSING if only_passing else check.status is not Health.CRITICAL for check in checks
    )
