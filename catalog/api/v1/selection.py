"""What `tag`, `node-meta` and `near` keep, and in which order.

Pure. Tags match in any letter case, as in Consul; without network coordinates `near` can only put that node itself first.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from catalog.api.http.query import Query
from catalog.state.records import Node, ServiceInstance

T = TypeVar("T")


def with_tags(query: Query, instances: Iterable[ServiceInstance]) -> list[ServiceInstance]:
    """Those that carry every tag asked for."""
    wanted = {tag.lower() for tag in query.tags}
    if not wanted:
        return list(instances)
    return [instance for instance in instances if wanted <= {tag.lower() for tag in instance.tags}]


def of_nodes(query: Query, items: Iterable[T], node_of: Callable[[T], Node]) -> list[T]:
    """Those whose node has all the meta asked for."""
    if not query.node_meta:
        return list(items)
    return [item for item in items if all(node_of(item).meta.get(key) == value for key, value in query.node_meta)]


def nearest_first(query: Query, items: list[T], name_of: Callable[[T], str]) -> list[T]:
    """Those on the node that `near` names first; the order is kept otherwise."""
    return sorted(items, key=lambda item: name_of(item) != query.near) if query.near else items
