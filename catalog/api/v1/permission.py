"""What a token needs to register and deregister (Consul's catalog API: `node:write`, `service:write`).

It must never tell by a refusal whether what the caller may not write is there: every refusal names what was asked.
"""

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.access.callers import CallerKind
from catalog.api.http.call import Call
from catalog.state.changes import Deregister, Register
from catalog.state.records import ServiceInstance
from catalog.state.state import State

WRITE = Access.WRITE
BY_RULES = frozenset({CallerKind.TOKEN, CallerKind.ANONYMOUS})
"""Who writes by what the rules of its token say; members of the mesh by their certificate, and what it was granted."""


def require_register(call: Call, change: Register, state: State) -> None:
    """Go on only if the caller may write all that a registration writes.

    The node only where it changes; of an instance also the service that it was before, and the one that a proxy stands for.

    Raises:
        PermissionDeniedError: it may not.
    """
    node = change.node.node
    if not _stays(change, state):
        call.require(Resource.NODE, node, WRITE)
    named = {instance.id or instance.service: instance for instance in change.services}
    for instance in change.services:
        _require_instance(call, instance)
        _require_former(call, state, node, instance.id or instance.service)
    for check in change.checks:
        if not check.service_id:
            call.require(Resource.NODE, node, WRITE)
        elif check.service_id in named:
            _require_instance(call, named[check.service_id])
        else:
            _require_former(call, state, node, check.service_id, missing=True)
        former = state.check(node, check.check_id)
        if former is not None and former.service_id != check.service_id:
            _require_former(call, state, node, former.service_id, missing=True)


def require_deregister(call: Call, change: Deregister, state: State) -> None:
    """Go on only if the caller may write the node, or else the service that goes, or whose check goes.

    Raises:
        PermissionDeniedError: it may not.
    """
    if call.authorizer.allows(Resource.NODE, change.node, WRITE):
        return
    service_id = change.service_id
    if not service_id and change.check_id:
        check = state.check(change.node, change.check_id)
        service_id = "" if check is None else check.service_id
    instance = state.instance(change.node, service_id) if service_id else None
    if instance is None or not call.authorizer.allows(Resource.SERVICE, instance.service, WRITE):
        call.require(Resource.NODE, change.node, WRITE)


def _stays(change: Register, state: State) -> bool:
    """Whether the node is there, and stays as it is."""
    known = state.node(change.node.node)
    if known is None:
        return False
    asked = msgspec.structs.replace(
        change.node, id=change.node.id or known.id, create_index=known.create_index, modify_index=known.modify_index
    )
    return change.skip_node_update or asked == known


def _require_instance(call: Call, instance: ServiceInstance) -> None:
    call.require(Resource.SERVICE, instance.service, WRITE)
    if instance.proxy.destination_service_name:
        call.require(Resource.SERVICE, instance.proxy.destination_service_name, WRITE)


def _require_former(call: Call, state: State, node: str, service_id: str, *, missing: bool = False) -> None:
    """Of what stands there under that id: the service, or with `missing` the node if there is none."""
    former = state.instance(node, service_id) if service_id else None
    if former is None:
        if missing:
            call.require(Resource.NODE, node, WRITE)
    elif not call.authorizer.allows(Resource.SERVICE, former.service, WRITE):
        call.require(Resource.NODE, node, WRITE)
