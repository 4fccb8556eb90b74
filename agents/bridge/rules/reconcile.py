"""What turns a target into what it should be, without touching what is not ours: pure, over frozen values.

    plan = reconcile(desired, owned, taken, may_remove)

Every action is idempotent: applied twice it does what it did once. After all actions of a plan, a second plan over the
same `desired` is empty. Registrations come first, removals after.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from agents.bridge.rules.rows import CheckRow, InstanceRow, NodeRow


class Placed(msgspec.Struct, frozen=True):
    """A node with its instances by ID."""

    node: NodeRow
    instances: Mapping[str, InstanceRow] = {}


class Owned(msgspec.Struct, frozen=True):
    """A node at the target that carries our mark, with the instances that do; `foreign` are the IDs that do not."""

    placed: Placed
    foreign: frozenset[str] = frozenset()


class Register(msgspec.Struct, frozen=True):
    """One write: the node, an instance of it or none, and checks of it."""

    node: NodeRow
    instance: InstanceRow | None = None
    checks: tuple[CheckRow, ...] = ()


class RemoveCheck(msgspec.Struct, frozen=True):
    """Take one check out."""

    node: str
    check_id: str


class RemoveInstance(msgspec.Struct, frozen=True):
    """Take one instance out, its checks with it."""

    node: str
    instance_id: str


class RemoveNode(msgspec.Struct, frozen=True):
    """Take the node out, and whatever is on it."""

    node: str


Action = Register | RemoveCheck | RemoveInstance | RemoveNode


class Plan(msgspec.Struct, frozen=True):
    """What to do; `withheld` are services with something to remove that may not be removed yet."""

    actions: tuple[Action, ...] = ()
    withheld: frozenset[str] = frozenset()
    conflicts: frozenset[str] = frozenset()


def reconcile(
    desired: Mapping[str, Placed],
    owned: Mapping[str, Owned],
    taken: AbstractSet[str],
    may_remove: Callable[[str], bool],
) -> Plan:
    """The plan for the nodes in `desired` and `owned`; `taken` are the names of nodes that are not ours.

    An instance that is not desired is removed only if `may_remove` its service.
    """
    writes: list[Action] = []
    removals: list[Action] = []
    withheld: set[str] = set()
    conflicts: set[str] = set()
    for name in [*desired, *(name for name in owned if name not in desired)]:
        want, have = desired.get(name), owned.get(name)
        if name in taken:
            conflicts.add(f"node {name} is there and is not ours: it is left alone")
            continue
        if want is not None:
            blocked = want.instances.keys() & (have.foreign if have is not None else frozenset())
            conflicts |= {
                f"instance {one} of node {name} is there and is not ours: it is left alone" for one in blocked
            }
            writes += _registrations(_without(want, blocked), have)
        if have is not None:
            gone, kept = _removals(want, have, may_remove)
            removals += gone
            withheld |= kept
    return Plan((*writes, *removals), frozenset(withheld), frozenset(conflicts))


def _without(want: Placed, blocked: AbstractSet[str]) -> Placed:
    if not blocked:
        return want
    return Placed(want.node, {key: one for key, one in want.instances.items() if key not in blocked})


def _registrations(want: Placed, have: Owned | None) -> list[Action]:
    """One write if the node, its checks or one instance changed, and one for each further instance that did."""
    there = have.placed.instances if have is not None else {}
    known = {check.id: check for one in there.values() for check in one.checks}
    node_known = {check.id: check for check in have.placed.node.checks} if have is not None else {}
    changed = [one for key, one in want.instances.items() if key not in there or _bare(there[key]) != _bare(one)]
    loose = [check for check in want.node.checks if node_known.get(check.id) != check]
    changed_ids = {one.id for one in changed}
    loose += [
        check
        for key, one in want.instances.items()
        if key not in changed_ids
        for check in one.checks
        if known.get(check.id) != check
    ]
    made: list[Action] = []
    for one in changed:
        own = [check for check in one.checks if known.get(check.id) != check]
        made.append(Register(want.node, one, tuple(loose + own)))
        loose = []
    is_new = have is None or _bare_node(have.placed.node) != _bare_node(want.node)
    if not made and (loose or is_new):
        made.append(Register(want.node, None, tuple(loose)))
    return made


def _removals(want: Placed | None, have: Owned, may_remove: Callable[[str], bool]) -> tuple[list[Action], set[str]]:
    """What has to go, and the services of what may not go yet."""
    name = have.placed.node.name
    wanted = want.instances if want is not None else {}
    gone = [one for key, one in have.placed.instances.items() if key not in wanted]
    kept = {one.service for one in gone if not may_remove(one.service)}
    if want is None and not kept and not have.foreign:
        return [RemoveNode(name)], kept
    made: list[Action] = [RemoveInstance(name, one.id) for one in gone if one.service not in kept]
    if want is not None:
        made += _stale_checks(want, have)
    return made, kept


def _stale_checks(want: Placed, have: Owned) -> list[Action]:
    """Checks of what stays that are not there any more at the source."""
    name = have.placed.node.name
    fresh = {check.id for check in want.node.checks}
    fresh |= {check.id for one in want.instances.values() for check in one.checks}
    stays = [one for key, one in have.placed.instances.items() if key in want.instances]
    old = [*have.placed.node.checks, *(check for one in stays for check in one.checks)]
    return [RemoveCheck(name, check.id) for check in old if check.id not in fresh]


def _bare(one: InstanceRow) -> InstanceRow:
    return msgspec.structs.replace(one, checks=())


def _bare_node(one: NodeRow) -> NodeRow:
    return msgspec.structs.replace(one, checks=())


def node_of(action: Action) -> str:
    """The node that an action is about."""
    return action.node.name if isinstance(action, Register) else action.node


def applied(have: Owned | None, action: Action) -> Owned | None:
    """A node as it stands after an action: what saves reading the target again after each write."""
    if isinstance(action, RemoveNode):
        return None
    if isinstance(action, Register):
        return _registered(have, action)
    return have and _reduced(have, action)


def _registered(have: Owned | None, action: Register) -> Owned:
    before = have.placed if have is not None else Placed(action.node, {})
    node_checks = before.node.checks if have is not None else ()
    node_checks = _merged(node_checks, [check for check in action.checks if not check.service_id])
    instances = dict(before.instances)
    if action.instance is not None:
        old = instances.get(action.instance.id)
        instances[action.instance.id] = msgspec.structs.replace(action.instance, checks=old.checks if old else ())
    for key, one in instances.items():
        own = [check for check in action.checks if check.service_id == key]
        if own:
            instances[key] = msgspec.structs.replace(one, checks=_merged(one.checks, own))
    node = msgspec.structs.replace(action.node, checks=node_checks)
    return Owned(Placed(node, instances), have.foreign if have is not None else frozenset())


def _merged(before: tuple[CheckRow, ...], new: list[CheckRow]) -> tuple[CheckRow, ...]:
    found = {check.id: check for check in before} | {check.id: check for check in new}
    return tuple(found[key] for key in sorted(found))


def _reduced(have: Owned, action: RemoveInstance | RemoveCheck) -> Owned:
    instances = dict(have.placed.instances)
    node = have.placed.node
    if isinstance(action, RemoveInstance):
        instances.pop(action.instance_id, None)
    else:
        node = msgspec.structs.replace(node, checks=_but(node.checks, action.check_id))
        instances = {
            key: msgspec.structs.replace(one, checks=_but(one.checks, action.check_id))
            for key, one in instances.items()
        }
    return Owned(Placed(node, instances), have.foreign)


def _but(checks: tuple[CheckRow, ...], check_id: str) -> tuple[CheckRow, ...]:
    return tuple(check for check in checks if check.id != check_id)
