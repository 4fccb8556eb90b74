"""Sessions: made, ended, and ended by what happens to their node and checks.

Whoever ends one, the keys that it held are released or deleted, and none of them may be locked until its lock-delay is
over: its holder may not have noticed yet (Consul: sessions, after the paper on Chubby).
"""

from catalog.state import changes as c
from catalog.state import limits
from catalog.state.errors import InvalidChangeError, UnknownSubjectError
from catalog.state.kv.keys import free_key
from catalog.state.records import Behavior, LockDelay, Session
from catalog.state.scene import Scene, put_row
from catalog.state.tables import Tables
from mesh.model.endpoint import Health

NS_A_SECOND = 10**9


def create_session(scene: Scene, change: c.CreateSession) -> bool:
    """Make a session on a node that is there, bound to checks that are there and not critical."""
    session, tables = change.session, scene.tables
    limits.check_session(session)
    if session.id in tables.sessions.rows:
        raise InvalidChangeError("ID", "is taken: choose another at random")
    if session.node not in tables.nodes.rows:
        raise UnknownSubjectError("Node", f"{session.node[:120]!r} is not registered")
    for check_id in session.checks:
        check = tables.checks.rows.get((session.node, check_id))
        if check is None:
            raise UnknownSubjectError("Check", f"{check_id[:120]!r} is not registered on that node")
        if check.status is Health.CRITICAL:
            raise InvalidChangeError("Check", f"{check_id[:120]!r} is critical: a session cannot rest on it")
    put_row(scene, tables.sessions, session.id, session)
    return True


def destroy_session(scene: Scene, change: c.DestroySession) -> bool:
    """End a session if it is there."""
    session = scene.tables.sessions.rows.get(change.id)
    if session is not None:
        end_session(scene, session)
    return True


def end_session(scene: Scene, session: Session) -> None:
    """End a session, which must be there, with what that means for its keys."""
    tables = scene.tables
    _forget_delays(scene)
    delay_s = session.lock_delay_ns / NS_A_SECOND
    for key, row in sorted(tables.keys.by("session", session.id).items()):
        if session.behavior is Behavior.DELETE:
            tables.keys.remove(key)
        else:
            free_key(scene, row)
        if delay_s:
            tables.delays.put(LockDelay(key, scene.now_s, delay_s))
    tables.sessions.remove(session.id)


def end_orphans(scene: Scene) -> None:
    """End the sessions that the change at hand left without their node, or with a check that is gone or critical."""
    if not scene.tables.sessions.rows:
        return
    for node in sorted(scene.tables.touched_nodes()):
        for session in tuple(scene.tables.sessions.by("node", node).values()):
            if not _stands(scene.tables, session):
                end_session(scene, session)


def _stands(tables: Tables, session: Session) -> bool:
    checks = (tables.checks.rows.get((session.node, check_id)) for check_id in session.checks)
    return session.node in tables.nodes.rows and all(
        check is not None and check.status is not Health.CRITICAL for check in checks
    )


def _forget_delays(scene: Scene) -> None:
    """Drop the delays that are over, oldest first: what is kept is bounded by the locks lost within a minute or so."""
    over = []
    for delay in scene.tables.delays.rows.values():
        if abs(scene.now_s - delay.since_s) < delay.delay_s:
            break
        over.append(delay.key)
    for key in over:
        scene.tables.delays.remove(key)
