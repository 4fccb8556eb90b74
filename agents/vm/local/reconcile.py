"""What must be told to the catalog so that it agrees with this host. Pure: both sides in, steps out.

The host is right about its own node. Only `serfHealth` is the catalog's, because it stands for the lease.
"""

from collections.abc import Collection
from typing import Any

import msgspec

from agents.vm.definition.values import ServiceDefinition
from agents.vm.local.entries import SERF_CHECK
from agents.vm.local.forms import Json, NodeFacts, catalog_check, catalog_service, node_body, serf_check
from agents.vm.local.state import LocalState
from mesh.model.endpoint import Health


class Held(msgspec.Struct, frozen=True):
    """What the catalog holds for a node. `node` is None if it does not know it; services and checks are keyed by ID."""

    node: Json | None = None
    services: dict[str, Json] = {}
    checks: dict[str, Json] = {}


def without(held: Held, foreign: Collection[str]) -> Held:
    """What is held, but for services that others keep on this node, and their checks."""
    services = {key: form for key, form in held.services.items() if key not in foreign}
    checks = {key: form for key, form in held.checks.items() if form.get("ServiceID") not in foreign}
    return Held(held.node, services, checks)


class Register(msgspec.Struct, frozen=True):
    """A body for `/v1/catalog/register`, and the entries it brings up to date. `token` was registered with them."""

    body: Json
    service_id: str = ""
    check_ids: tuple[str, ...] = ()
    token: str = ""


class Deregister(msgspec.Struct, frozen=True):
    """A body for `/v1/catalog/deregister`, and the entry it takes away. `token` was registered with it."""

    body: Json
    service_id: str = ""
    check_id: str = ""
    token: str = ""


Step = Register | Deregister


class Dirty(msgspec.Struct):
    """What changed here since the catalog was last told."""

    services: set[str] = msgspec.field(default_factory=set)
    checks: set[str] = msgspec.field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.services or self.checks)


def full_steps(state: LocalState, node: NodeFacts, held: Held, quiet_checks: Collection[str] = ()) -> list[Step]:
    """Every step from what the catalog holds to what this host says. The output of `quiet_checks` may differ."""
    steps: list[Step] = []
    if not _same_node(node, held):
        steps.append(Register({**node_body(node), "Check": serf_check(node)}))
    services = {
        key for key, entry in state.services.items() if not same_service(entry.definition, held.services.get(key, {}))
    }
    checks = {
        key
        for key, entry in state.checks.items()
        if not _same_check(catalog_check(entry, node), held.checks.get(key), compare_output=key not in quiet_checks)
    }
    services |= {key for key in held.services if key not in state.services}
    checks |= {key for key in held.checks if key not in state.checks and key != SERF_CHECK}
    return steps + partial_steps(state, node, Dirty(services, checks), held)


def partial_steps(state: LocalState, node: NodeFacts, dirty: Dirty, held: Held | None = None) -> list[Step]:
    """The steps for the entries in `dirty` alone: what is here is registered, what is not is deregistered."""
    steps: list[Step] = []
    left = set(dirty.checks)
    where = {**node_body(node), "SkipNodeUpdate": True}
    for service_id in sorted(dirty.services):
        entry = state.services.get(service_id)
        if entry is None:
            token = state.token_of(service_id=service_id)
            steps.append(Deregister({**_which(node), "ServiceID": service_id}, service_id=service_id, token=token))
            left -= _checks_held_of(service_id, held)
            continue
        service = catalog_service(_with_their_tags(entry.definition, held))
        checks = state.checks_of(service_id)
        ids = tuple(check.definition.check_id for check in checks)
        body = {**where, "Service": service, "Checks": [catalog_check(check, node) for check in checks]}
        steps.append(Register(body, service_id, ids, entry.definition.token))
        left -= set(ids)
    for check_id in sorted(left):
        check = state.checks.get(check_id)
        token = state.token_of(check_id=check_id)
        if check is None:
            steps.append(Deregister({**_which(node), "CheckID": check_id}, check_id=check_id, token=token))
        else:
            body = {**where, "Check": catalog_check(check, node)}
            steps.append(Register(body, check_ids=(check_id,), token=token))
    return steps


def leave_steps(node: NodeFacts, held: Held, foreign: Collection[str]) -> list[Step]:
    """The steps that take the node out of the catalog: whole, or all but the services in `foreign` if it has some."""
    if not held.services.keys() & set(foreign):
        return [Deregister(_which(node))]
    ours = without(held, foreign)
    return partial_steps(LocalState(), node, Dirty(set(ours.services), set(ours.checks) - {SERF_CHECK}), ours)


def _which(node: NodeFacts) -> Json:
    return {"Datacenter": node.datacenter, "Node": node.name}


def same_service(service: ServiceDefinition, held: Json) -> bool:
    """Whether the catalog's form of a service says what `service` says; fields that the catalog adds do not count."""
    wanted = catalog_service(service)
    if service.enable_tag_override:
        wanted["Tags"] = held.get("Tags")
    return _covers(wanted, held) and set(wanted["Meta"]) == set(held.get("Meta") or {})


def _covers(wanted: Any, held: Any) -> bool:
    """Whether `held` says all that `wanted` says; what is empty may be missing."""
    if isinstance(wanted, dict):
        return isinstance(held or {}, dict) and all(
            _covers(item, (held or {}).get(key)) for key, item in wanted.items()
        )
    if isinstance(wanted, list):
        return len(wanted) == len(held or []) and all(map(_covers, wanted, held or []))
    return bool(wanted == held) or not (wanted or held)


def _same_node(node: NodeFacts, held: Held) -> bool:
    theirs, serf = held.node, held.checks.get(SERF_CHECK)
    if theirs is None or serf is None or serf.get("Status") != Health.PASSING:
        return False
    return theirs.get("Address") == node.address and (theirs.get("Meta") or {}) == node.meta


def _same_check(wanted: Json, held: Json | None, *, compare_output: bool) -> bool:
    fields = ("Name", "Status", "Notes", "ServiceID") + (("Output",) if compare_output else ())
    return held is not None and all((held.get(field) or "") == wanted[field] for field in fields)


def _with_their_tags(service: ServiceDefinition, held: Held | None) -> ServiceDefinition:
    """With `EnableTagOverride`, tags that someone set in the catalog stay (Consul's rule)."""
    theirs = held.services.get(service.id) if held is not None else None
    if not service.enable_tag_override or theirs is None:
        return service
    return msgspec.structs.replace(service, tags=tuple(theirs.get("Tags") or ()))


def _checks_held_of(service_id: str, held: Held | None) -> set[str]:
    """The checks that go with their service when the catalog deregisters it."""
    if held is None:
        return set()
    return {key for key, check in held.checks.items() if check.get("ServiceID") == service_id}
