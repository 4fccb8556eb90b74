"""`/v1/txn`: operations on keys, nodes, services and checks that happen all or not at all.

Each operation needs its own right, on what it names and on what stands there now. One that only reads never reaches
the log, and its answer says what a read's says (measured).
"""

import msgspec

from catalog.access.acl.live import current
from catalog.access.authorizer import Access, Resource, refusal_text
from catalog.access.callers import CallerKind
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, Meta, json_answer
from catalog.api.http.body import convert, parse_json
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, BodyTooLargeError, PermissionDeniedError
from catalog.api.http.query import check_datacenter
from catalog.api.kv.shapes import key_json
from catalog.api.v1.naming import consul_name
from catalog.api.v1.registration import (
    Body,
    CheckBody,
    LocalityBody,
    ServiceBody,
    TenantBody,
    check_tenant,
    locality_of,
)
from catalog.api.v1.shapes import Json, check_json, node_json, service_json
from catalog.state.changes import READ_VERBS, CheckOp, KeyOp, NodeOp, Operation, ServiceOp, Transact
from catalog.state.errors import TransactionError
from catalog.state.index import FIRST_INDEX
from catalog.state.limits import MAX_FLAGS, MAX_OPERATIONS
from catalog.state.records import Check, KeyEntry, Node, ServiceInstance
from catalog.state.state import State

Row = KeyEntry | Node | ServiceInstance | Check


class KeyBody(TenantBody, frozen=True):
    """`KV`. `Value` is base64."""

    verb: str = ""
    key: str = ""
    value: bytes = b""
    flags: int = 0
    index: int = 0
    session: str = ""

    def operation(self) -> KeyOp:
        """The state's value of it.

        Raises:
            BadRequestError: a number is none of 64 bits without sign.
        """
        check_tenant(self, "KV")
        for field, number in (("Flags", self.flags), ("Index", self.index)):
            if not 0 <= number <= MAX_FLAGS:
                raise BadRequestError(f'field "KV.{field}": must be 0 to {MAX_FLAGS}')
        return KeyOp(self.verb, self.key, self.value, self.flags, self.index, self.session)


class NodeFieldsBody(TenantBody, frozen=True):
    """`Node.Node`."""

    id: str = ""
    node: str = ""
    address: str = ""
    datacenter: str = ""
    tagged_addresses: dict[str, str] = msgspec.field(default_factory=dict)
    meta: dict[str, str] = msgspec.field(default_factory=dict)
    locality: LocalityBody | None = None
    create_index: int = 0
    modify_index: int = 0


class NodeBody(Body, frozen=True):
    """`Node`."""

    verb: str = ""
    node: NodeFieldsBody = NodeFieldsBody()

    def operation(self, datacenter: str) -> NodeOp:
        """The state's value of it."""
        given = self.node
        check_tenant(given, "Node")
        check_datacenter(given.datacenter, datacenter)
        node = Node(
            node=given.node,
            address=given.address,
            id=given.id,
            datacenter=datacenter,
            tagged_addresses=given.tagged_addresses,
            meta=given.meta,
            locality=locality_of(given.locality),
        )
        return NodeOp(self.verb, node, given.modify_index)


class ServiceOpBody(Body, frozen=True):
    """`Service`."""

    verb: str = ""
    node: str = ""
    service: ServiceBody = ServiceBody()

    def operation(self) -> ServiceOp:
        """The state's value of it."""
        return ServiceOp(self.verb, self.node, self.service.record(), self.service.modify_index)


class CheckOpBody(Body, frozen=True):
    """`Check`."""

    verb: str = ""
    check: CheckBody = CheckBody()

    def operation(self) -> CheckOp:
        """The state's value of it."""
        row = msgspec.structs.replace(self.check.record(), node=self.check.node)
        return CheckOp(self.verb, row, self.check.modify_index)


class OperationBody(msgspec.Struct, frozen=True, rename=consul_name, forbid_unknown_fields=True):
    """One operation: exactly one of them."""

    kv: KeyBody | None = msgspec.field(default=None, name="KV")
    node: NodeBody | None = None
    service: ServiceOpBody | None = None
    check: CheckOpBody | None = None

    def operation(self, position: int, datacenter: str) -> Operation:
        """The state's value of it.

        Raises:
            BadRequestError: it is none or several.
        """
        given: list[Operation] = []
        if self.kv is not None:
            given.append(self.kv.operation())
        if self.node is not None:
            given.append(self.node.operation(datacenter))
        if self.service is not None:
            given.append(self.service.operation())
        if self.check is not None:
            given.append(self.check.operation())
        if len(given) != 1:
            raise BadRequestError(f"operation {position}: give exactly one of KV, Node, Service and Check")
        return given[0]


class TransactionEndpoints:
    """`/v1/txn`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {"/v1/txn": {"PUT": Method(self.put, IN_HANDLER)}}

    async def put(self, call: Call) -> Answer:
        """Do the operations. Their results; 409 with every failure if any fails, and then none was done."""
        change = read_operations(call.body, self._api.datacenter)
        state = self._api.parking.state
        for operation in change.operations:
            if isinstance(operation, NodeOp) and operation.verb not in READ_VERBS:
                _refuse_members(call)
            require(call, state, operation)
        try:
            if not change.reads_only:
                rows = _seen(call, await self._api.submit(change))
                results = [_result(row) for row in rows]
                return json_answer({"Results": results, "Errors": None}, pretty=call.query.pretty)
            rows = _seen(call, state.transaction(change))
        except TransactionError as error:
            failures = [{"OpIndex": position, "What": text} for position, text in error.failures]
            return json_answer({"Results": None, "Errors": failures}, status=409, pretty=call.query.pretty)
        # Of what the caller sees alone: the catalog's own index would tell him of all the rest.
        index = max((row.modify_index for row in rows), default=FIRST_INDEX) or FIRST_INDEX
        found: Json = {"Results": [_result(row) for row in rows], "Errors": None}
        found |= {"Index": index, "LastContact": 0, "KnownLeader": True}
        return json_answer(found, Meta(index, call.query.consistency), pretty=call.query.pretty)


def read_operations(body: bytes, datacenter: str) -> Transact:
    """The transaction in a body.

    Raises:
        BadRequestError: it cannot be read.
        BodyTooLargeError: it has too many operations; none of them was looked at.
    """
    given = parse_json(body, "Failed to parse body")
    if not isinstance(given, list):
        raise BadRequestError("Failed to parse body: a transaction is a list of operations")
    if len(given) > MAX_OPERATIONS:
        raise BodyTooLargeError(f"Transaction contains too many operations ({len(given)} > {MAX_OPERATIONS})")
    bodies = convert(given, tuple[OperationBody, ...])
    return Transact(tuple(one.operation(position, datacenter) for position, one in enumerate(bodies)))


def require(call: Call, state: State, operation: Operation) -> None:
    """Go on only if the caller may do one operation, to what it names and to what is there under that name.

    Raises:
        PermissionDeniedError: it may not.
    """
    access = Access.READ if operation.verb in READ_VERBS else Access.WRITE
    match operation:
        case KeyOp(verb="delete-tree"):
            call.require_all(Resource.KEY, operation.key, access)
        case KeyOp(verb="get-tree"):
            pass  # its result is filtered
        case KeyOp():
            call.require(Resource.KEY, operation.key, access)
        case NodeOp():
            call.require(Resource.NODE, operation.node.node, access)
        case ServiceOp():
            service = operation.service
            there = state.instance(operation.node, service.id or service.service)
            names = {service.service, there.service if there else ""} - {""}
            for name in sorted(names) or [""]:
                _require_service(call, name, access, asked=service.service or service.id)
            if access is Access.WRITE and service.proxy.destination_service_name:
                # A sidecar is dialled by whoever calls its destination.
                call.require(Resource.SERVICE, service.proxy.destination_service_name, access)
        case CheckOp():
            _require_check(call, state, operation.check, access)


def _require_service(call: Call, name: str, access: Access, *, asked: str) -> None:
    """As `call.require`, but a refusal repeats what the caller asked for: not which service is behind an id, nor that one is.

    Raises:
        PermissionDeniedError: it may not.
    """
    if not call.authorizer.allows(Resource.SERVICE, name, access):
        raise PermissionDeniedError(refusal_text(call.authorizer, Resource.SERVICE, asked, access))


def _refuse_members(call: Call) -> None:
    """Go on only if the caller writes by the rules of a token: what a certificate may register is judged where it does.

    Raises:
        PermissionDeniedError: it is a node's, whose grant says into which network it may register.
    """
    if call.caller.kind is CallerKind.NODE:
        raise PermissionDeniedError(
            f"Permission denied: {call.caller} registers with /v1/catalog/register, and not in a transaction"
        )


def _require_check(call: Call, state: State, check: Check, access: Access) -> None:
    """A check belongs to its node, or to the service of its instance: to the one that is there, and to the one it moves to."""
    there = state.check(check.node, check.check_id or check.name)
    for row in (check, there) if there else (check,):
        instance = state.instance(row.node, row.service_id) if row.service_id else None
        if row.service_id:
            name = row.service_name if instance is None else instance.service
            _require_service(call, name, access, asked=check.service_id or check.check_id)
        else:
            call.require(Resource.NODE, row.node, access)


def _seen(call: Call, rows: tuple[Row, ...]) -> list[Row]:
    """The rows without the keys that the caller may not read, which only a tree can give."""
    allows = current(call.authorizer).allows
    return [row for row in rows if not isinstance(row, KeyEntry) or allows(Resource.KEY, row.key, Access.READ)]


def _result(row: Row) -> Json:
    match row:
        case KeyEntry():
            return {"KV": key_json(row)}
        case Node():
            return {"Node": node_json(row)}
        case ServiceInstance():
            return {"Service": service_json(row)}
        case Check():
            return {"Check": check_json(row)}
