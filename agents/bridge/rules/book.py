"""What the source says, kept by service, and what therefore should stand at the target, by mirrored node.

The book never forgets an instance because a reading lacks it: it keeps it as *missing* until `confirm` says that a
second, consistent reading lacks it too. Pure: no clock, no calls.
"""

from collections.abc import Iterable, Mapping

import msgspec

from agents.bridge.rules.marks import Mark, mirrored_node
from agents.bridge.rules.reconcile import Placed
from agents.bridge.rules.rows import InstanceRow, NodeRow, Sighting, mirrored

Key = tuple[str, str]


class View(msgspec.Struct, frozen=True):
    """One service as last read: its mirrored sightings, each with the number of the reading that had it last."""

    rows: Mapping[Key, tuple[int, Sighting]] = {}
    missing: frozenset[Key] = frozenset()
    reading: int = 0


class Book:
    """The readings of one source."""

    def __init__(self, mark: Mark, *, connect: bool) -> None:
        self._mark = mark
        self._connect = connect
        self._views: dict[str, View] = {}
        self._by_node: dict[str, set[str]] = {}
        self._confirmed: set[str] = set()
        self.readings = 0

    @property
    def services(self) -> frozenset[str]:
        """The services that have instances, or had some that are missing now."""
        return frozenset(name for name, view in self._views.items() if view.rows)

    @property
    def missing(self) -> frozenset[str]:
        """The services with instances that the last reading lacked."""
        return frozenset(name for name, view in self._views.items() if view.missing)

    @property
    def size(self) -> int:
        """Instances in the book."""
        return sum(len(view.rows) for view in self._views.values())

    def knows(self, service: str) -> bool:
        """Whether the service was read at all."""
        return service in self._views

    def services_on(self, node: str) -> frozenset[str]:
        """The services on a node of the source."""
        return frozenset(self._by_node.get(mirrored_node(node, self._mark), ()))

    def is_confirmed(self, service: str) -> bool:
        """Whether what is in no reading of the service is really gone: then the target may lose it."""
        return service in self._confirmed

    def note(self, service: str, found: Iterable[Sighting]) -> frozenset[str]:
        """A reading: what it shows holds from now on, what it lacks is missing. The mirrored nodes that changed."""
        before, seen = self._views.get(service, View()), self._seen(service, found)
        lacking = frozenset(before.rows.keys() - seen.keys())
        return self._put(service, View({**{key: before.rows[key] for key in lacking}, **seen}, lacking, self.readings))

    def confirm(self, service: str, found: Iterable[Sighting], since: int) -> frozenset[str]:
        """A reading that is believed: what it lacks is gone. The mirrored nodes that changed.

        `since` is `readings` from before it was asked for: it says nothing of a service that was noted meanwhile.
        """
        if self._views.get(service, View()).reading > since:
            return frozenset()
        self._confirmed.add(service)
        seen = self._seen(service, found)
        return self._put(service, View(seen, frozenset(), self.readings))

    def doubt(self) -> None:
        """Whatever was confirmed has to be confirmed again."""
        self._confirmed.clear()

    def _seen(self, service: str, found: Iterable[Sighting]) -> dict[Key, tuple[int, Sighting]]:
        """The mirrored rows of a reading. One that did not change keeps the number of the reading that changed it."""
        self.readings += 1
        before = self._views.get(service, View()).rows
        made = (mirrored(one, self._mark, connect=self._connect) for one in found)
        rows = ((before.get(one.key), one) for one in made if one is not None)
        return {one.key: old if old is not None and old[1] == one else (self.readings, one) for old, one in rows}

    def _put(self, service: str, view: View) -> frozenset[str]:
        before = self._views.get(service, View())
        self._views[service] = view
        keys = before.rows.keys() | view.rows.keys()
        changed = {key[0] for key in keys if before.rows.get(key) != view.rows.get(key)}
        present = {node for node, _ in view.rows} if changed else set()
        for node in changed:
            self._index(node, service, node in present)
        return frozenset(changed)

    def _index(self, node: str, service: str, present: bool) -> None:
        services = self._by_node.setdefault(node, set())
        if present:
            services.add(service)
        else:
            services.discard(service)
        if not services:
            del self._by_node[node]

    def desired(self, nodes: Iterable[str] | None = None) -> dict[str, Placed]:
        """What should stand at the target, of these mirrored nodes or of all; a node that should not is left out."""
        if nodes is None:
            return self._placed(self._by_node)
        return self._placed(name for name in nodes if name in self._by_node)

    def _placed(self, names: Iterable[str]) -> dict[str, Placed]:
        wanted = set(names)
        nodes: dict[str, tuple[int, NodeRow]] = {}
        instances: dict[str, dict[str, tuple[int, InstanceRow]]] = {name: {} for name in wanted}
        for service in {one for name in wanted for one in self._by_node[name]}:
            for (name, instance_id), (reading, row) in self._views[service].rows.items():
                if name not in wanted:
                    continue
                # An instance that was renamed stands in two views until the old one is confirmed: the newest holds.
                if instance_id not in instances[name] or instances[name][instance_id][0] < reading:
                    instances[name][instance_id] = (reading, row.instance)
                if name not in nodes or nodes[name][0] < reading:
                    nodes[name] = (reading, row.node)
        return {
            name: Placed(nodes[name][1], {key: one for key, (_, one) in found.items()})
            for name, found in instances.items()
        }
