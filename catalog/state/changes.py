"""The changes: every way in which the catalog's state can become another, as frozen values that the log keeps.

Each is encoded with a tag, so that a log written today is read tomorrow: fields are added with defaults, never
renamed or removed. A change says what is wanted, never how: what it does is `State.apply`'s alone.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from catalog.state.records import Check, Node, ServiceInstance, Session
from mesh.model.endpoint import Health


class Change(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="change"):
    """What all changes are."""


class Register(Change, frozen=True, tag="register"):
    """Register a node, and instances and checks on it (Consul `PUT /v1/catalog/register`). Result: True.

    An identical registration changes nothing. With `skip_node_update` a node that is known stays as it is.
    `lease_ttl_s` > 0 hangs the node on a lease, granted anew if it had lapsed (agents; Consul's API never sets it).
    Instances and checks that are not named stay.
    """

    node: Node
    services: tuple[ServiceInstance, ...] = ()
    checks: tuple[Check, ...] = ()
    skip_node_update: bool = False
    lease_ttl_s: float = 0.0


class Deregister(Change, frozen=True, tag="deregister"):
    """Remove an instance with its checks, or one check, or (both empty) the node with all that is on it. Result: True.

    What is not there is no error (Consul `PUT /v1/catalog/deregister`).
    """

    node: str
    service_id: str = ""
    check_id: str = ""


class UpdateCheck(Change, frozen=True, tag="update-check"):
    """Set a known check's status and output. Result: True. An unknown check is an `UnknownSubjectError`."""

    node: str
    check_id: str
    status: Health
    output: str = ""


class PutConfig(Change, frozen=True, tag="put-config"):
    """Write a config entry. Result: whether it was written.

    `cas` None writes always; 0 only if there is none; else only if the entry's modify index is that.
    An identical body is written all the same: its index moves (reference/consul.md 9a.4).
    """

    kind: str
    name: str
    body: Mapping[str, Any]
    cas: int | None = None


class DeleteConfig(Change, frozen=True, tag="delete-config"):
    """Delete a config entry. Result: False only if `cas` is given and is not the entry's modify index."""

    kind: str
    name: str
    cas: int | None = None


class PutIntention(Change, frozen=True, tag="put-intention"):
    """Insert or replace one source in the destination's service-intentions entry. Result: True.

    `source` is canonical CamelCase JSON with `Name`; its identity is (Name, Namespace, Partition, Peer, SamenessGroup).
    """

    destination: str
    source: Mapping[str, Any]


class DeleteIntention(Change, frozen=True, tag="delete-intention"):
    """Remove one source from the destination's entry, and the entry with its last source. Result: True, found or not."""

    destination: str
    source: Mapping[str, Any]


class PutRecord(Change, frozen=True, tag="put-record"):
    """Write another room's bytes. Result: whether they were written; `cas` as in `PutConfig`. Equal bytes change nothing."""

    table: str
    key: str
    value: bytes
    cas: int | None = None


class DeleteRecord(Change, frozen=True, tag="delete-record"):
    """Delete another room's bytes. Result: whether there were any and `cas`, if given, was their modify index.

    Of two that consume the same record, exactly one gets True.
    """

    table: str
    key: str
    cas: int | None = None


class GrantLease(Change, frozen=True, tag="grant-lease"):
    """Hang a known node on a lease; a lapsed one is held again. Result: True. Unknown node: `UnknownSubjectError`."""

    node: str
    ttl_s: float = 15.0


class LeaseExpired(Change, frozen=True, tag="lease-expired"):
    """The holder was not heard: serfHealth turns critical; with a deregistration delay of 0 the node goes. Result: bool."""

    node: str


class LeaseRestored(Change, frozen=True, tag="lease-restored"):
    """The holder is back: serfHealth turns passing. Result: False if the node has no lease (it must register again)."""

    node: str


class ReapNode(Change, frozen=True, tag="reap-node"):
    """Remove a node whose lease has been lapsed for its deregistration delay. Result: False if it is not due."""

    node: str


class PutKey(Change, frozen=True, tag="put-key"):
    """Write a key (Consul `PUT /v1/kv/:key`). Result: whether it was written. Equal values change nothing.

    `cas` as in `PutConfig`. `acquire` takes the lock for that session, if nobody else has it and no lock-delay runs;
    `release` gives it up, if that session has it. At most one of the three. An unknown session to acquire for is an
    `UnknownSubjectError`.
    """

    key: str
    value: bytes = b""
    flags: int = 0
    cas: int | None = None
    acquire: str = ""
    release: str = ""


class DeleteKey(Change, frozen=True, tag="delete-key"):
    """Delete a key. Result: False only if `cas` is given and is not the key's modify index (0 never deletes)."""

    key: str
    cas: int | None = None


class DeleteKeys(Change, frozen=True, tag="delete-keys"):
    """Delete every key that begins with `prefix`; an empty one deletes all. Result: True."""

    prefix: str


class CreateSession(Change, frozen=True, tag="create-session"):
    """Make a session; its id is its maker's to choose, at random. Result: True.

    Its node and checks must be there, and no check critical: `UnknownSubjectError`, `InvalidChangeError`.
    """

    session: Session


class DestroySession(Change, frozen=True, tag="destroy-session"):
    """End a session, at its holder's wish or because its time is over: its keys are released or deleted. Result: True.

    An unknown one is no error (Consul `PUT /v1/session/destroy`).
    """

    id: str


class KeyOp(msgspec.Struct, frozen=True, omit_defaults=True, tag="key"):
    """An operation on a key. `index` is what `cas`, `delete-cas` and `check-index` compare with."""

    verb: str
    key: str
    value: bytes = b""
    flags: int = 0
    index: int = 0
    session: str = ""


class NodeOp(msgspec.Struct, frozen=True, omit_defaults=True, tag="node"):
    """An operation on a node: `set`, `cas`, `get`, `delete`, `delete-cas`."""

    verb: str
    node: Node
    index: int = 0


class ServiceOp(msgspec.Struct, frozen=True, omit_defaults=True, tag="service"):
    """An operation on an instance; verbs as in `NodeOp`."""

    verb: str
    node: str
    service: ServiceInstance
    index: int = 0


class CheckOp(msgspec.Struct, frozen=True, omit_defaults=True, tag="check"):
    """An operation on a check; verbs as in `NodeOp`. The check names its node."""

    verb: str
    check: Check
    index: int = 0


Operation = KeyOp | NodeOp | ServiceOp | CheckOp

READ_VERBS = frozenset({"get", "get-or-empty", "get-tree", "check-index", "check-session", "check-not-exists"})


class Transact(Change, frozen=True, tag="transact"):
    """Operations that happen all or not at all, in order (Consul `PUT /v1/txn`). Result: the tuple of rows they give.

    A key's row carries its value only where it was read. Any that fails undoes all: `TransactionError` names every one.
    """

    operations: tuple[Operation, ...]

    @property
    def reads_only(self) -> bool:
        """Whether no operation can change anything."""
        return all(operation.verb in READ_VERBS for operation in self.operations)


class Batch(Change, frozen=True, tag="batch"):
    """Changes that happen all or not at all. Result: the tuple of their results.

    One that is invalid, or whose compare fails, undoes all: `InvalidChangeError` or `ConflictError`. No batch inside a batch.
    """

    changes: tuple["Single", ...]


Single = (
    Register
    | Deregister
    | UpdateCheck
    | PutConfig
    | DeleteConfig
    | PutIntention
    | DeleteIntention
    | PutRecord
    | DeleteRecord
    | GrantLease
    | LeaseExpired
    | LeaseRestored
    | ReapNode
    | PutKey
    | DeleteKey
    | DeleteKeys
    | CreateSession
    | DestroySession
)

AnyChange = Single | Transact | Batch


class Entry(msgspec.Struct, frozen=True):
    """One line of the log: a change and the time it was taken at (seconds since the epoch), so that replay needs no clock."""

    now_s: float
    change: AnyChange


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """One line of the log as JSON."""
    return _ENCODER.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """Parse one line of the log.

    Raises:
        msgspec.DecodeError: the bytes are no entry that this version knows.
    """
    return _DECODER.decode(data)
