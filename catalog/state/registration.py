"""What registrations do to the tables: nodes, instances and checks, with what hangs on them."""

import msgspec

from catalog.state import changes as c
from catalog.state import limits
from catalog.state.errors import InvalidChangeError, UnknownSubjectError
from catalog.state.records import SERF_HEALTH, Check, Lease, ServiceInstance
from catalog.state.scene import Scene, put_row
from catalog.state.tables import Tables
from mesh.model.endpoint import Health

ALIVE = "Agent alive and reachable"


def register(scene: Scene, change: c.Register) -> bool:
    """Register a node with instances and checks."""
    node, known = change.node, scene.tables.nodes.rows.get(change.node.node)
    limits.check_registered_node(node)
    limits.check_count("Services", len(change.services), limits.MAX_REGISTRATION)
    limits.check_count("Checks", len(change.checks), limits.MAX_REGISTRATION)
    if known is None or not change.skip_node_update:
        if not node.address:
            raise InvalidChangeError("Address", "must be given unless SkipNodeUpdate is set and the node is known")
        put_row(scene, scene.tables.nodes, node.node, node)
    for instance in change.services:
        put_instance(scene, node.node, instance)
    for check in change.checks:
        put_check(scene, node.node, check)
    if change.lease_ttl_s:
        hold_lease(scene, node.node, change.lease_ttl_s)
    return True


def put_instance(scene: Scene, node: str, given: ServiceInstance) -> None:
    """Write an instance on a node, with its bounds checked and its checks kept true."""
    if given.node not in {"", node}:
        raise InvalidChangeError("Service.Node", f"must be {node!r} or empty, not {given.node!r}")
    instance = msgspec.structs.replace(given, node=node, id=given.id or given.service)
    limits.check_instance(instance)
    if (node, instance.id) not in scene.tables.instances.rows:
        limits.check_count("Services", len(scene.tables.instances.by("node", node)) + 1, limits.MAX_ON_NODE)
    put_row(scene, scene.tables.instances, (node, instance.id), instance)
    for check in tuple(scene.tables.checks.by("instance", (node, instance.id)).values()):
        # A check carries its service's name and tags, so that lists of checks need no join: keep them true.
        put_check(scene, node, check)


def put_check(scene: Scene, node: str, given: Check) -> None:
    """Write a check of a node or of an instance on it."""
    if given.node not in {"", node}:
        raise InvalidChangeError("Check.Node", f"must be {node!r} or empty, not {given.node!r}")
    name = ""
    tags: tuple[str, ...] = ()
    if given.service_id:
        instance = scene.tables.instances.rows.get((node, given.service_id))
        if instance is None:
            raise UnknownSubjectError("Check.ServiceID", f"{given.service_id!r} is not registered on node {node!r}")
        name, tags = instance.service, instance.tags
    check_id = given.check_id or given.name
    check = msgspec.structs.replace(given, node=node, check_id=check_id, service_name=name, service_tags=tags)
    limits.check_check(check)
    if (node, check_id) not in scene.tables.checks.rows:
        limits.check_count("Checks", len(scene.tables.checks.by("node", node)) + 1, limits.MAX_ON_NODE)
    put_row(scene, scene.tables.checks, (node, check_id), check)


def deregister(scene: Scene, change: c.Deregister) -> bool:
    """Remove an instance, a check, or a node with all that is on it."""
    tables, node = scene.tables, change.node
    limits.check_node_name(node)
    if change.service_id:
        if (node, change.service_id) in tables.instances.rows:
            remove_instance(tables, node, change.service_id)
    elif change.check_id:
        if (node, change.check_id) in tables.checks.rows:
            tables.checks.remove((node, change.check_id))
    elif node in tables.nodes.rows:
        remove_node(tables, node)
    return True


def remove_instance(tables: Tables, node: str, service_id: str) -> None:
    """Remove an instance, which must be there, with its checks."""
    for key in tuple(tables.checks.by("instance", (node, service_id))):
        tables.checks.remove(key)
    tables.instances.remove((node, service_id))


def remove_node(tables: Tables, node: str) -> None:
    """Remove a node, which must be there, with all that is on it."""
    for key in tuple(tables.checks.by("node", node)):
        tables.checks.remove(key)
    for key in tuple(tables.instances.by("node", node)):
        tables.instances.remove(key)
    if node in tables.leases.rows:
        tables.leases.remove(node)
    tables.nodes.remove(node)


def update_check(scene: Scene, change: c.UpdateCheck) -> bool:
    """Set a check's status and output."""
    limits.check_output(change.output)
    check = scene.tables.checks.rows.get((change.node, change.check_id))
    if check is None:
        raise UnknownSubjectError("CheckID", f"{change.check_id!r} is not registered on node {change.node!r}")
    updated = msgspec.structs.replace(check, status=change.status, output=change.output)
    put_row(scene, scene.tables.checks, (check.node, check.check_id), updated)
    return True


def hold_lease(scene: Scene, node: str, ttl_s: float) -> None:
    """Hang a node on a lease: held from now, its serfHealth passing."""
    limits.check_ttl(ttl_s)
    put_row(scene, scene.tables.leases, node, Lease(node, ttl_s))
    put_check(scene, node, Check(SERF_HEALTH, "Serf Health Status", status=Health.PASSING, output=ALIVE))
