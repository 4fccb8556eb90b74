"""What becomes of the leases that nodes hang on: granted, lapsed, restored, and the removal of a node that stayed away."""

import math

import msgspec

from catalog.state import changes as c
from catalog.state.errors import UnknownSubjectError
from catalog.state.records import (
    DEFAULT_DEREGISTER_AFTER_S,
    META_DEREGISTER_AFTER_S,
    SERF_HEALTH,
    Check,
    Node,
)
from catalog.state.registration import hold_lease, put_check, remove_node
from catalog.state.scene import Scene, put_row
from mesh.model.endpoint import Health

GONE = "Agent not live or unreachable"


def deregister_after_s(node: Node) -> float:
    """Seconds between a lapsed lease and the node's removal, from its meta; what does not parse is the default."""
    try:
        delay_s = float(node.meta.get(META_DEREGISTER_AFTER_S, DEFAULT_DEREGISTER_AFTER_S))
    except ValueError:
        return DEFAULT_DEREGISTER_AFTER_S
    return delay_s if math.isfinite(delay_s) and delay_s >= 0 else DEFAULT_DEREGISTER_AFTER_S


def grant_lease(scene: Scene, change: c.GrantLease) -> bool:
    """Hang a known node on a lease."""
    if change.node not in scene.tables.nodes.rows:
        raise UnknownSubjectError("Node", f"{change.node!r} is not registered: register it first")
    hold_lease(scene, change.node, change.ttl_s)
    return True


def lease_expired(scene: Scene, change: c.LeaseExpired) -> bool:
    """The holder was not heard."""
    lease = scene.tables.leases.rows.get(change.node)
    if lease is None or lease.lapsed_at_s is not None:
        return False
    if deregister_after_s(scene.tables.nodes.rows[change.node]) == 0:
        remove_node(scene.tables, change.node)
        return True
    put_row(scene, scene.tables.leases, lease.node, msgspec.structs.replace(lease, lapsed_at_s=scene.now_s))
    gone = Check(SERF_HEALTH, "Serf Health Status", status=Health.CRITICAL, output=GONE)
    put_check(scene, lease.node, gone)
    return True


def lease_restored(scene: Scene, change: c.LeaseRestored) -> bool:
    """The holder is back."""
    lease = scene.tables.leases.rows.get(change.node)
    if lease is None:
        return False
    hold_lease(scene, lease.node, lease.ttl_s)
    return True


def reap_node(scene: Scene, change: c.ReapNode) -> bool:
    """Remove a node that stayed away for its delay."""
    lease = scene.tables.leases.rows.get(change.node)
    if lease is None or lease.lapsed_at_s is None:
        return False
    if scene.now_s < lease.lapsed_at_s + deregister_after_s(scene.tables.nodes.rows[change.node]):
        return False
    remove_node(scene.tables, change.node)
    return True
