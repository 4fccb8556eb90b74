"""The target of a mirror: what of it is ours, and the writes that change it.

It reads before it believes that a name is free, and writes only what a plan says. One refused write never holds up the
others; a target that does not answer ends the pass.
"""

import logging
from collections.abc import Iterable

import msgspec

from agents.bridge.rules.intentions import (
    IntentionAction,
    IntentionPlan,
    IntentionRow,
    Pair,
    PutIntention,
    intention,
)
from agents.bridge.rules.marks import BRIDGE_META, CHECK_PREFIX, Identity, Mark, description_mark, node_origin
from agents.bridge.rules.reconcile import (
    Action,
    Owned,
    Placed,
    Register,
    RemoveCheck,
    RemoveInstance,
    RemoveNode,
    applied,
    node_of,
)
from agents.bridge.rules.rows import CheckRow, Json, NodeRow, ShapeError, check_body, node_body, service_body, sighting
from agents.bridge.side import NotThereError, RefusedError, Side, SideError, each, health_path, pair_params

READERS = 8
WRITERS = 4

_log = logging.getLogger("linkspan.bridge")


class SourceReplacedError(Exception):
    """The source is not the catalog that this bridge mirrored before; the message says what to do."""


class Target:
    """What stands at the target, as far as it concerns one mark."""

    def __init__(self, side: Side, mark: Mark, *, with_intentions: bool) -> None:
        self.name = side.name
        self._side = side
        self._mark = mark
        self._with_intentions = with_intentions
        self.owned: dict[str, Owned] = {}
        self.taken: set[str] = set()
        self.intentions: dict[Pair, IntentionRow] = {}
        self.taken_pairs: set[Pair] = set()
        self.writes = 0
        self.refusals = 0
        self._told: set[str] = set()

    @property
    def services(self) -> frozenset[str]:
        """The services that we have instances of there."""
        return frozenset(row.service for one in self.owned.values() for row in one.placed.instances.values())

    async def read(self) -> None:
        """Read all of it anew.

        Raises:
            SideError: the target does not answer.
            SourceReplacedError: the bridge's name mirrored another catalog there.
        """
        nodes, taken = await self._nodes()
        reading = await self._side.read("/v1/catalog/services", self._filter())
        rooms: dict[str, dict[str, Json]] = {name: {} for name in nodes}

        async def one(service: str) -> None:
            for row in (await self._side.read(health_path(service), self._filter())).body or ():
                name = row["Node"]["Node"]
                if name in rooms:
                    rooms[name][row["Service"]["ID"]] = row

        await each(reading.body or {}, READERS, one)
        self.owned = {name: self._owned(nodes[name], list(rows.values())) for name, rows in rooms.items()}
        self.taken = taken
        if self._with_intentions:
            await self._read_intentions()

    def _filter(self) -> dict[str, str]:
        return {"node-meta": f"{BRIDGE_META}:{self._mark.bridge}"}

    async def _nodes(self) -> tuple[dict[str, NodeRow], set[str]]:
        """Our nodes, and the names of all others."""
        ours: dict[str, NodeRow] = {}
        taken: set[str] = set()
        for one in (await self._side.read("/v1/catalog/nodes")).body or ():
            meta = one.get("Meta") or {}
            if meta.get(BRIDGE_META) == self._mark.bridge:
                self._check_origin(node_origin(meta), f"node {one['Node']}")
                ours[one["Node"]] = NodeRow(one["Node"], one["Address"], one.get("TaggedAddresses") or {}, meta)
            else:
                taken.add(one["Node"])
        return ours, taken

    def _check_origin(self, origin: Identity, what: str) -> None:
        if origin != self._mark.origin:
            raise SourceReplacedError(
                f"{self._side.name}: {what} was mirrored by bridge {self._mark.bridge} from {origin}, but the source "
                f"is {self._mark.origin} now. Nothing was changed. If the source was replaced on purpose, run under "
                f"another --name and remove what carries {BRIDGE_META}={self._mark.bridge}"
            )

    def _owned(self, node: NodeRow, rows: list[Json]) -> Owned:
        try:
            found = [sighting(row) for row in rows]
        except ShapeError as error:
            raise SideError(f"{self._side.name}: {error}") from error
        ours = [one.instance for one in found if one.instance.meta.get(BRIDGE_META) == self._mark.bridge]
        instances = {one.id: msgspec.structs.replace(one, checks=_mirrored_checks(one.checks)) for one in ours}
        checks = _mirrored_checks(found[0].node.checks) if found else ()
        foreign = frozenset(one.instance.id for one in found) - instances.keys()
        return Owned(Placed(msgspec.structs.replace(node, checks=checks), instances), foreign)

    async def _read_intentions(self) -> None:
        ours: dict[Pair, IntentionRow] = {}
        taken: set[Pair] = set()
        for one in (await self._side.read("/v1/connect/intentions")).body or ():
            row = _intention(one, self._side.name)
            if row is None:
                continue
            mark = description_mark(row.description)
            if mark is not None and mark.bridge == self._mark.bridge:
                self._check_origin(mark.origin, f"the intention {row.source} => {row.destination}")
                ours[row.pair] = row
            else:
                taken.add(row.pair)
        self.intentions, self.taken_pairs = ours, taken

    async def apply(self, actions: Iterable[Action]) -> bool:
        """Do what a plan says: the writes of a node in their order, nodes side by side. Whether all succeeded.

        Raises:
            SideError: the target does not answer.
        """
        by_node: dict[str, list[Action]] = {}
        for action in actions:
            by_node.setdefault(node_of(action), []).append(action)
        refused = self.refusals

        async def one(name: str) -> None:
            for action in by_node[name]:
                await self._do(name, action)

        await each(by_node, WRITERS, one)
        return self.refusals == refused

    async def _do(self, name: str, action: Action) -> None:
        try:
            if not await self._is_ours(name, action):
                return
            await self._side.write(*_call(action))
        except RefusedError as error:
            self.refusals += 1
            self.tell(f"not written: {error}")
            return
        self.writes += 1
        after = applied(self.owned.get(name), action)
        if after is None:
            self.owned.pop(name, None)
        else:
            self.owned[name] = after

    async def _is_ours(self, name: str, action: Action) -> bool:
        """Whether a new node's name is free, and a node that goes still ours alone: asked at the last moment."""
        if name in self.owned and not isinstance(action, RemoveNode):
            return True
        found = (await self._side.read(f"/v1/catalog/node/{name}")).body
        if not found or not found.get("Node"):
            return True
        meta = found["Node"].get("Meta") or {}
        if meta.get(BRIDGE_META) != self._mark.bridge:
            self.taken.add(name)
            self.owned.pop(name, None)
            self.tell(f"node {name} is there and is not ours: it is left alone")
            return False
        if isinstance(action, Register):
            return True
        services = (found.get("Services") or {}).values()
        return all((one.get("Meta") or {}).get(BRIDGE_META) == self._mark.bridge for one in services)

    async def apply_intentions(self, plan: IntentionPlan) -> bool:
        """Do what a plan says of intentions. Whether all succeeded.

        Raises:
            SideError: the target does not answer.
        """
        refused = self.refusals
        for action in plan.actions:
            try:
                await self._do_intention(action)
            except RefusedError as error:
                self.refusals += 1
                self.tell(f"not written: {error}")
        return self.refusals == refused

    async def _do_intention(self, action: IntentionAction) -> None:
        pair = action.row.pair if isinstance(action, PutIntention) else action.pair
        there = await self._intention_there(pair)
        mark = description_mark(there.description) if there is not None else None
        if there is not None and (mark is None or mark.bridge != self._mark.bridge):
            self.taken_pairs.add(pair)
            self.intentions.pop(pair, None)
            self.tell(f"the intention {pair[0]} => {pair[1]} is there and is not ours: it is left alone")
            return
        if isinstance(action, PutIntention):
            await self._side.put_intention(pair, action.row.body())
            self.intentions[pair] = action.row
        else:
            await self._side.remove_intention(pair)
            self.intentions.pop(pair, None)
        self.writes += 1

    async def _intention_there(self, pair: Pair) -> IntentionRow | None:
        try:
            found = await self._side.read("/v1/connect/intentions/exact", pair_params(pair))
        except NotThereError:
            return None
        return _intention(found.body, self._side.name)

    def tell(self, text: str) -> None:
        """Report something once."""
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s: %s", self._side.name, text)


def _intention(row: object, side: str) -> IntentionRow | None:
    try:
        return intention(row)
    except ShapeError as error:
        raise SideError(f"{side}: {error}") from error


def _mirrored_checks(checks: tuple[CheckRow, ...]) -> tuple[CheckRow, ...]:
    return tuple(check for check in checks if check.id.startswith(CHECK_PREFIX))


def _call(action: Action) -> tuple[str, Json]:
    """The path and body of an action's write."""
    if isinstance(action, Register):
        body = node_body(action.node)
        if action.instance is not None:
            body["Service"] = service_body(action.instance)
        if action.checks:
            body["Checks"] = [check_body(action.node.name, check) for check in action.checks]
        return "/v1/catalog/register", body
    body = {"Node": action.node}
    if isinstance(action, RemoveInstance):
        body["ServiceID"] = action.instance_id
    elif isinstance(action, RemoveCheck):
        body["CheckID"] = action.check_id
    return "/v1/catalog/deregister", body
