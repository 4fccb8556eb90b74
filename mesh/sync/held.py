"""What a follower holds of the catalog: values with their versions, what it refused, and what it shows. No socket, no clock.

A resource that cannot be used never replaces the last good one. A chain is shown only when the endpoints of all its targets
were asked for, so that a new split never leads into a service that is not known yet.
"""

from collections.abc import Iterable

import msgspec

from mesh.model.chain import Chain
from mesh.model.snapshot import Snapshot
from mesh.sync.follow import (
    MESH,
    ROOTS,
    Plan,
    UnusableResourceError,
    Value,
    assemble,
    decode_resource,
    target_services,
)
from mesh.wire.sync import MAX_WANTS, Refusal, Resource, SyncRequest, SyncResponse, Want


class Holding:
    """The state between two sync calls. `next_request`, then `take` its answer; `snapshot` is what may be used now."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._values: dict[str, Value] = {}
        self._versions: dict[str, str] = {}
        self._shown_chains: dict[str, Chain] = {}
        self._asked: set[str] = set()
        self._refused: tuple[Refusal, ...] = ()
        self.index = 0

    @property
    def wants(self) -> tuple[str, ...]:
        """The names to follow now, at most `MAX_WANTS`; those that security hangs on come first and are never cut off."""
        return self._plan.wants(self._values)[:MAX_WANTS]

    @property
    def left_out(self) -> int:
        """How many names are wanted beyond the protocol's bound, and so are not followed."""
        return max(0, len(self._plan.wants(self._values)) - MAX_WANTS)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is wanted and not held: every name that the catalog knows has a value, so this is empty in the end."""
        return tuple(name for name in self.wants if name not in self._values)

    @property
    def is_settled(self) -> bool:
        """Whether everything wanted was asked for at least once."""
        return all(name in self._asked for name in self.wants)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What the last answer held that cannot be used; goes out with the next request."""
        return self._refused

    def next_request(self, wait_s: float) -> SyncRequest:
        """The next call: waits only when there is nothing new to ask for and nothing to refuse."""
        wants = tuple(Want(name, self._versions.get(name, "")) for name in self.wants)
        wait_s = wait_s if self.is_settled and not self._refused else 0.0
        return SyncRequest(wants, wait_s, refused=self._refused)

    def take(self, request: SyncRequest, response: SyncResponse) -> bool:
        """Take the answer to `request`; returns whether the snapshot may have changed."""
        asked = {want.name for want in request.wants}
        changed = self._take_all(resource for resource in response.changed if resource.name in asked)
        for name in asked.intersection(response.removed) - {ROOTS, MESH}:  # those two never go: losing them is a fault
            self._versions.pop(name, None)
            changed = self._values.pop(name, None) is not None or changed
        self._asked |= asked
        self.index = max(self.index, response.index)
        self._prune()
        return self._show() or changed

    def restore(self, resources: Iterable[Resource]) -> None:
        """Begin with what was held before a restart."""
        self._take_all(resources)
        self._refused = ()
        self._asked = set(self._values)
        self._prune()
        self._show()

    def resources(self) -> tuple[Resource, ...]:
        """Everything held and usable, to be kept on disk."""
        return tuple(
            Resource(name, self._versions.get(name, ""), msgspec.Raw(msgspec.json.encode(value)))
            for name, value in self._values.items()
        )

    def snapshot(self) -> Snapshot:
        """What may be used now."""
        shown = {name: value for name, value in self._values.items() if not isinstance(value, Chain)}
        return assemble(self._plan.local, {**shown, **self._shown_chains})

    def _take_all(self, resources: Iterable[Resource]) -> bool:
        changed, refused = False, []
        for resource in resources:
            # Its version is kept also when it is refused: it must not be sent again until it changes.
            self._versions[resource.name] = resource.version
            try:
                value = decode_resource(resource)
            except UnusableResourceError as error:
                refused.append(Refusal(resource.name, resource.version, str(error)[:500]))
                continue
            changed = self._values.get(resource.name) != value or changed
            self._values[resource.name] = value
        self._refused = tuple(refused)
        return changed

    def _prune(self) -> None:
        """Forget what is no longer wanted, so that it is asked for anew if it is wanted again."""
        wanted = set(self.wants)
        self._asked &= wanted
        for name in self._versions.keys() - wanted:
            del self._versions[name]
            self._values.pop(name, None)

    def _show(self) -> bool:
        shown: dict[str, Chain] = {}
        for name, value in self._values.items():
            if not isinstance(value, Chain):
                continue
            is_ready = all(f"endpoints/{service}" in self._asked for service in target_services(value))
            chain = value if is_ready else self._shown_chains.get(name)
            if chain is not None:
                shown[name] = chain
        changed = shown != self._shown_chains
        self._shown_chains = shown
        return changed
