"""What of the catalog one caller sees, for the length of one read: nodes, services, intentions, name by name.

It only answers; who calls it leaves out what is not seen before anything is counted, sorted or filtered.
"""

from catalog.access.acl.live import current, topics_of
from catalog.access.authorizer import Access, Resource
from catalog.api.blocking import Found
from catalog.api.http.call import Call
from catalog.state.index import Topic
from catalog.state.records import Check, ServiceInstance

READ = Access.READ


class Sight:
    """A caller's sight. `whole`: it sees every node and service there is or will be, so that nobody need ask by name.

    Raises:
        PermissionDeniedError: the caller has lost its rights since its call began.
    """

    __slots__ = ("_call", "_known", "_rights", "hid", "whole")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._rights = current(call.authorizer)
        self._known: dict[tuple[Resource, str], bool] = {}
        self.whole = self._rights.allows_all(Resource.SERVICE, "", READ) and self._rights.allows_all(
            Resource.NODE, "", READ
        )
        self.hid = False

    def node(self, name: str) -> bool:
        """Whether it sees the node."""
        return self.whole or self._sees(Resource.NODE, name)

    def service(self, name: str) -> bool:
        """Whether it sees the service."""
        return self.whole or self._sees(Resource.SERVICE, name)

    def instances(self, rows: list[ServiceInstance]) -> list[ServiceInstance]:
        """The instances of which it sees both node and service."""
        if self.whole:
            return rows
        return [
            row for row in rows if self._sees(Resource.NODE, row.node) and self._sees(Resource.SERVICE, row.service)
        ]

    def checks(self, rows: list[Check]) -> list[Check]:
        """The checks of which it sees the node, and the service if they are of one."""
        if self.whole:
            return rows
        return [row for row in rows if self.node(row.node) and (not row.service_name or self.service(row.service_name))]

    def intention(self, destination: str) -> bool:
        """Whether it sees who may call that service."""
        return self._sees(Resource.INTENTION, destination)

    def found(self, value: object, *topics: Topic, hidden: bool = False, whole: bool | None = None) -> Found:
        """What was found under this sight; `hidden` if something was left out that this did not see.

        `whole`: whether nothing could be left out, for what is neither a node nor a service.
        """
        hidden = hidden or self.hid
        if (self.whole if whole is None else whole) and not hidden:
            return Found(value, topics)
        return Found(value, (*topics, *topics_of(self._call.authorizer)), partial=True, hidden=hidden)

    def unseen(self, topic: Topic, value: object) -> Found:
        """What there is to be told about a name that it does not see: the same as if there were none (`topic` has no rows)."""
        return Found(value, (topic, *topics_of(self._call.authorizer)), partial=True, hidden=True)

    @property
    def all_intentions(self) -> bool:
        """Whether it sees every intention there is or will be."""
        return self._rights.allows_all(Resource.INTENTION, "", READ)

    def _sees(self, resource: Resource, name: str) -> bool:
        key = resource, name
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._rights.allows(resource, name, READ)
        if not known:
            self.hid = True
        return known
