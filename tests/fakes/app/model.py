"""What the catalog should be, said as plainly as can be: dictionaries, and one number that every effective change raises.

It must never be imported by anything but tests, nor import anything of the catalog's state: it is the second opinion.
"""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

SERVER = "server"


@dataclass(frozen=True)
class Key:
    """A key's row."""

    value: bytes
    flags: int
    lock_index: int
    session: str
    created: int
    modified: int


@dataclass
class Holder:
    """A session: `check` empty rests on the node alone; `ttl_s` 0 never ends by itself."""

    node: str
    check: str
    deletes: bool
    delay_s: float
    ttl_s: float
    heard_s: float


@dataclass
class Model:
    """The catalog as its callers should find it."""

    index: int = 2
    now_s: float = 0.0
    keys: dict[str, Key] = field(default_factory=dict)
    sessions: dict[str, Holder] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=lambda: {SERVER})
    ports: dict[str, int] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    config: dict[str, tuple[str, int]] = field(default_factory=dict)
    delays: dict[str, tuple[float, float]] = field(default_factory=dict)
    key_indexes: dict[str, int] = field(default_factory=dict)
    tree_index: int = 1

    # Keys. Each gives what the catalog answers.

    def put(self, key: str, value: bytes, flags: int = 0, cas: int | None = None) -> bool:
        before = self.keys.get(key)
        if cas is not None and cas != (before.modified if before else 0):
            return False
        self._write(key, value, flags, 0, before.session if before else "")
        return True

    def acquire(self, key: str, value: bytes, session: str) -> bool | None:
        """None is an invalid session."""
        if session not in self.sessions:
            return None
        before = self.keys.get(key)
        holder, count = (before.session, before.lock_index) if before else ("", 0)
        if holder != session and (holder or self._is_delayed(key)):
            return False
        self._write(key, value, 0, count if holder else count + 1, session)
        return True

    def release(self, key: str, value: bytes, session: str) -> bool:
        before = self.keys.get(key)
        if before is None or before.session != session:
            return False
        self._write(key, value, 0, before.lock_index, "")
        return True

    def delete(self, key: str, cas: int | None = None) -> bool:
        before = self.keys.get(key)
        if before is not None and cas not in {None, before.modified}:
            return False
        if before is not None:
            self._change(lambda: self._remove(key))
        return True

    def delete_tree(self, prefix: str) -> None:
        gone = [key for key in self.keys if key.startswith(prefix)]
        if gone:
            self._change(lambda: [self._remove(key) for key in gone])

    def transact(self, operations: list[tuple[str, str, bytes, int]]) -> bool:
        """Operations as (verb, key, value, index); whether all succeed."""
        draft = deepcopy(self)
        draft.index += 1
        for verb, key, value, index in operations:
            row = draft.keys.get(key)
            modified = row.modified if row else 0
            match verb:
                case "set":
                    draft._write_at(key, value, 0, 0, row.session if row else "")
                case "cas" if index == modified:
                    draft._write_at(key, value, 0, 0, row.session if row else "")
                case "delete":
                    draft.keys.pop(key, None)
                case "get" if row:
                    pass
                case "check-index" if row and index == modified:
                    pass
                case "check-not-exists" if not row:
                    pass
                case _:
                    return False
        if draft.keys != self.keys:
            moved = {key for key in {*self.keys, *draft.keys} if self.keys.get(key) != draft.keys.get(key)}
            self.index, self.keys = draft.index, draft.keys
            self._moved(*moved)
        return True

    def _write(self, key: str, value: bytes, flags: int, count: int, session: str) -> None:
        before = self.keys.get(key)
        if before != self._row(before, self.index + 1, value, flags, count, session):
            self._change(lambda: self._write_at(key, value, flags, count, session))

    def _write_at(self, key: str, value: bytes, flags: int, count: int, session: str) -> None:
        row = self._row(self.keys.get(key), self.index, value, flags, count, session)
        if row != self.keys.get(key):
            self.keys[key] = row
            self._moved(key)

    @staticmethod
    def _row(before: Key | None, index: int, value: bytes, flags: int, count: int, session: str) -> Key:
        if before is None:
            return Key(value, flags, count, session, index, index)
        same = replace(before, value=value, flags=flags, lock_index=count, session=session)
        return same if same == before else replace(same, modified=index)

    def _remove(self, key: str) -> None:
        del self.keys[key]
        self._moved(key)

    def _moved(self, *keys: str) -> None:
        for key in keys:
            self.key_indexes[key] = self.index
        self.tree_index = self.index

    def _is_delayed(self, key: str) -> bool:
        since_s, delay_s = self.delays.get(key, (0.0, 0.0))
        return self.now_s < since_s + delay_s

    def _change(self, work: Any) -> None:
        self.index += 1
        work()

    # Sessions.

    def create(self, session: str, holder: Holder) -> bool:
        """Whether its node and check let it be."""
        fits = holder.node in self.nodes and self.checks.get(holder.node) in {"passing", "warning"}
        if holder.node not in self.nodes or (holder.check and not fits):
            return False
        self.index += 1
        self.sessions[session] = holder
        return True

    def destroy(self, session: str) -> None:
        if session in self.sessions:
            self._change(lambda: self._end(session))

    def renew(self, session: str) -> bool:
        if session in self.sessions:
            self.sessions[session].heard_s = self.now_s
        return session in self.sessions

    def _end(self, session: str) -> None:
        holder = self.sessions.pop(session)
        for key, row in list(self.keys.items()):
            if row.session != session:
                continue
            if holder.deletes:
                self._remove(key)
            else:
                self.keys[key] = replace(row, session="", modified=self.index)
                self._moved(key)
            if holder.delay_s:
                self.delays[key] = (self.now_s, holder.delay_s)

    def _end_orphans(self) -> None:
        for session, holder in list(self.sessions.items()):
            healthy = self.checks.get(holder.node) in {"passing", "warning"}
            if holder.node not in self.nodes or (holder.check and not healthy):
                self._end(session)

    def due(self) -> list[str]:
        """The sessions whose time is over."""
        return [name for name, one in self.sessions.items() if one.ttl_s and one.heard_s + 2 * one.ttl_s <= self.now_s]

    def advance(self, seconds: float) -> list[str]:
        """Let time pass; the sessions that end, together."""
        self.now_s += seconds
        ended = self.due()
        if ended:
            self.index += 1
            for session in ended:
                self._end(session)
        return ended

    def restart(self) -> None:
        for holder in self.sessions.values():
            holder.heard_s = self.now_s

    # Nodes, services, checks, config entries.

    def register(self, node: str, port: int | None, status: str | None) -> None:
        if (
            node in self.nodes
            and (port is None or self.ports.get(node) == port)
            and (status is None or self.checks.get(node) == status)
        ):
            return
        self.index += 1
        self.nodes.add(node)
        if port is not None:
            self.ports[node] = port
        if status is not None:
            self.checks[node] = status
        self._end_orphans()

    def deregister(self, node: str, what: str) -> None:
        there: Any = {"node": self.nodes, "service": self.ports, "check": self.checks}[what]
        if node not in there:
            return
        self.index += 1
        if what == "node":
            self.nodes.discard(node)
        if what in {"node", "service"}:
            self.ports.pop(node, None)
        if what in {"node", "check"}:
            self.checks.pop(node, None)
        self._end_orphans()

    def write_config(self, name: str, protocol: str, cas: int | None) -> bool:
        before = self.config.get(name)
        if cas is not None and cas != (before[1] if before else 0):
            return False
        self.index += 1
        self.config[name] = (protocol, self.index)
        return True

    def delete_config(self, name: str) -> None:
        if self.config.pop(name, None) is not None:
            self.index += 1
