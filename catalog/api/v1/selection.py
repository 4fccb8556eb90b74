"""What `tag`, `node-meta` and `near` keep, in which order, and what `merge-central-config` makes of it.

Pure. Tags match in any letter case, as in Consul; without network coordinates `near` can only put that node itself first.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from catalog.api.http.query import Query
from catalog.compile.central import merge_central
from catalog.compile.entry_view import Entries, Topic
from catalog.state.records import Node, ServiceInstance

T = TypeVar("T")

_CENTRAL: tuple[Topic, ...] = (("config", "service-defaults"), ("config", "proxy-defaults"))


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


def is_merged(query: Query) -> bool:
    """Whether the caller wants the central configuration worked in. Such reads are quiet: they are hashed anew (Consul)."""
    return query.flag("merge-central-config")


def merged(query: Query, entries: Entries, instance: ServiceInstance) -> ServiceInstance:
    """The instance as the caller wants it: as registered, or with the central configuration worked in."""
    return merge_central(entries, instance) if is_merged(query) else instance


def with_central(query: Query, *topics: Topic) -> tuple[Topic, ...]:
    """The topics, and those of the central configuration if it is worked in."""
    return (*topics, *_CENTRAL) if is_merged(query) else topics
