"""The catalog against a model that fits on a page: any operations, times and restarts in any order, over its HTTP app.

After every step everything that can be read is what the model says, to the index, and no index has gone back.
"""

import base64
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from catalog.state.state import State
from catalog.store import Store
from catalog.store.memory import Memory, MemoryStore
from catalog.store.sqlite import open_sqlite
from tests.fakes.app.model import Holder, Model
from tests.fakes.app.portal import Portal

KEYS = ("a", "a/b", "a/c", "b")
PREFIXES = ("", "a", "a/", "b", "none")
KEY = st.sampled_from(KEYS)
VALUE = st.sampled_from([b"", b"1", b"2"])
NODE = st.sampled_from(["n1", "n1", "n2"])
CAS = st.sampled_from(["none", "zero", "right", "stale"])
OPERATION = st.tuples(
    st.sampled_from(["set", "cas", "delete", "get", "check-index", "check-not-exists"]), KEY, VALUE, CAS
)
READS = (
    *(f"kv/{key}" for key in KEYS),
    *(f"kv/{prefix}?recurse" for prefix in PREFIXES),
    *("session/list", "catalog/nodes", "health/service/web", "config/service-defaults"),
)


class CatalogMachine(RuleBasedStateMachine):
    """Each rule does one thing to both, and compares what they answer."""

    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.indexes = dict.fromkeys(READS, 1)
        self.portal = Portal(self.open_store)

    def teardown(self) -> None:
        self.portal.close()

    async def open_store(self) -> Store:
        raise NotImplementedError

    def put(self, path: str, body: Any = b"") -> Any:
        answer = self.portal.request("PUT", f"/v1/{path}", body)
        return answer.json() if answer.status == 200 else answer.status

    # Keys.

    def cas_of(self, kind: str, key: str) -> int | None:
        row = self.model.keys.get(key)
        modified = row.modified if row else 0
        return {"none": None, "zero": 0, "right": modified, "stale": modified + 1}[kind]

    @rule(key=KEY, value=VALUE, flags=st.sampled_from([0, 2**64 - 1]), cas=CAS)
    def put_key(self, key: str, value: bytes, flags: int, cas: str) -> None:
        index = self.cas_of(cas, key)
        query = f"flags={flags}" + ("" if index is None else f"&cas={index}")
        assert self.put(f"kv/{key}?{query}", value) is self.model.put(key, value, flags, index)

    @rule(key=KEY, cas=CAS)
    def delete_key(self, key: str, cas: str) -> None:
        index = self.cas_of(cas, key)
        answer = self.portal.request("DELETE", f"/v1/kv/{key}" + ("" if index is None else f"?cas={index}"))
        assert answer.json() is self.model.delete(key, index)

    @rule(prefix=st.sampled_from(PREFIXES))
    def delete_tree(self, prefix: str) -> None:
        assert self.portal.request("DELETE", f"/v1/kv/{prefix}?recurse").json() is True
        self.model.delete_tree(prefix)

    @rule(key=KEY, value=VALUE, session=sessions)
    def acquire(self, key: str, value: bytes, session: str) -> None:
        expected = self.model.acquire(key, value, session)
        assert self.put(f"kv/{key}?acquire={session}", value) == (500 if expected is None else expected)

    @rule(key=KEY, value=VALUE, session=sessions)
    def release(self, key: str, value: bytes, session: str) -> None:
        assert self.put(f"kv/{key}?release={session}", value) is self.model.release(key, value, session)

    @rule(operations=st.lists(OPERATION, min_size=1, max_size=4))
    def transact(self, operations: list[tuple[str, str, bytes, str]]) -> None:
        resolved = [(verb, key, value, self.cas_of(cas, key) or 0) for verb, key, value, cas in operations]
        body = [
            {"KV": {"Verb": verb, "Key": key, "Value": base64.b64encode(value).decode(), "Index": index}}
            for verb, key, value, index in resolved
        ]
        assert self.portal.request("PUT", "/v1/txn", body).status == (200 if self.model.transact(resolved) else 409)

    # Sessions.

    @initialize(
        target=sessions, check=st.sampled_from(["", "c"]), deletes=st.booleans(), delay_s=st.sampled_from([0, 5])
    )
    def begin(self, check: str, deletes: bool, delay_s: int) -> str:
        """A node with a healthy check, and a session that holds a key: far from the empty catalog."""
        self.register("n1", 80, "passing")
        session = self.create_session("n1", check, deletes, delay_s, 10)
        self.acquire("a", b"1", session)
        return session

    @rule(
        target=sessions,
        node=NODE,
        check=st.sampled_from(["", "c"]),
        deletes=st.booleans(),
        delay_s=st.sampled_from([0, 5]),
        ttl_s=st.sampled_from([0, 10, 30]),
    )
    def create_session(self, node: str, check: str, deletes: bool, delay_s: int, ttl_s: int) -> str:
        body: dict[str, Any] = {
            "Node": node,
            "NodeChecks": [check] if check else [],
            "Behavior": "delete" if deletes else "release",
            "LockDelay": f"{delay_s}s",
        }
        if ttl_s:
            body["TTL"] = f"{ttl_s}s"
        answer = self.put("session/create", body)
        session = "refused" if answer == 500 else str(answer["ID"])
        expected = self.model.create(session, Holder(node, check, deletes, delay_s, ttl_s, self.model.now_s))
        assert expected is (session != "refused")
        return session

    @rule(session=consumes(sessions))
    def destroy_session(self, session: str) -> None:
        assert self.put(f"session/destroy/{session}") is True
        self.model.destroy(session)

    @rule(session=sessions)
    def renew_session(self, session: str) -> None:
        assert (self.put(f"session/renew/{session}") != 404) is self.model.renew(session)

    # Nodes, services, checks, config entries.

    @rule(
        node=NODE,
        port=st.sampled_from([None, 80, 81]),
        status=st.sampled_from([None, "passing", "passing", "warning", "critical"]),
    )
    def register(self, node: str, port: int | None, status: str | None) -> None:
        body: dict[str, Any] = {"Node": node, "Address": "192.0.2.1"}
        if port is not None:
            body["Service"] = {"Service": "web", "Port": port}
        if status is not None:
            body["Check"] = {"CheckID": "c", "Name": "c", "Status": status}
        assert self.put("catalog/register", body) is True
        self.model.register(node, port, status)

    @rule(node=NODE, what=st.sampled_from(["service", "service", "check", "node"]))
    def deregister(self, node: str, what: str) -> None:
        body = {"Node": node, **{"node": {}, "service": {"ServiceID": "web"}, "check": {"CheckID": "c"}}[what]}
        assert self.put("catalog/deregister", body) is True
        self.model.deregister(node, what)

    @rule(name=st.sampled_from(["web", "api"]), protocol=st.sampled_from(["http", "tcp"]), cas=CAS)
    def write_config(self, name: str, protocol: str, cas: str) -> None:
        modified = self.model.config.get(name, ("", 0))[1]
        index = {"none": None, "zero": 0, "right": modified, "stale": modified + 1}[cas]
        body = {"Kind": "service-defaults", "Name": name, "Protocol": protocol}
        written = self.put("config" + ("" if index is None else f"?cas={index}"), body)
        assert written is self.model.write_config(name, protocol, index)

    @rule(name=st.sampled_from(["web", "api"]))
    def delete_config(self, name: str) -> None:
        assert self.portal.request("DELETE", f"/v1/config/service-defaults/{name}").status == 200
        self.model.delete_config(name)

    # Time and restarts.

    @rule(seconds=st.sampled_from([1.0, 19.0, 61.0]))
    def let_time_pass(self, seconds: float) -> None:
        ended = self.model.advance(seconds)
        self.portal.advance(seconds, ended)

    @rule(seconds=st.sampled_from([0.0, 4.0, 5.0]), key=KEY)
    def lose_a_lock_and_take_it(self, seconds: float, key: str) -> None:
        """Within its lock-delay nobody gets it, afterwards the next does."""
        self.register("n1", None, "passing")
        first, second = (self.create_session("n1", "", deletes=False, delay_s=5, ttl_s=0) for _ in range(2))
        self.acquire(key, b"1", first)
        self.destroy_session(first)
        self.let_time_pass(seconds)
        self.acquire(key, b"2", second)
        self.destroy_session(second)

    @rule(target=sessions, act=st.sampled_from(["renew", "restart", "nothing"]), key=KEY)
    def nearly_run_out(self, act: str, key: str) -> str:
        """Who is heard, or whose catalog starts anew, has the whole time again."""
        self.register("n1", None, "passing")
        session = self.create_session("n1", "c", deletes=False, delay_s=0, ttl_s=10)
        self.acquire(key, b"1", session)
        self.let_time_pass(15.0)
        if act == "renew":
            self.renew_session(session)
        elif act == "restart":
            self.restart()
        self.let_time_pass(15.0)
        return session

    @rule()
    def restart(self) -> None:
        self.portal.restart()
        self.model.restart()

    @rule()
    def image(self) -> None:
        data = self.portal.app.engine.state.encode()
        assert State.decode(data).encode() == data

    # What is true after every step.

    def get(self, path: str) -> Any:
        answer = self.portal.request("GET", f"/v1/{path}")
        assert answer.index >= self.indexes[path], f"the index of {path} went back"
        self.indexes[path] = answer.index
        return answer.json() if answer.status == 200 else None

    @invariant()
    def keys_are_the_models(self) -> None:
        shown = {
            row["Key"]: (
                base64.b64decode(row["Value"] or ""),
                row["Flags"],
                row["LockIndex"],
                row.get("Session", ""),
                row["CreateIndex"],
                row["ModifyIndex"],
            )
            for row in self.get("kv/?recurse") or ()
        }
        assert shown == {
            key: (row.value, row.flags, row.lock_index, row.session, row.created, row.modified)
            for key, row in sorted(self.model.keys.items())
        }
        assert self.indexes["kv/?recurse"] == self.model.tree_index
        for key in KEYS:
            self.get(f"kv/{key}")
            assert self.indexes[f"kv/{key}"] == self.model.key_indexes.get(key, 1)
        for prefix in PREFIXES:
            self.get(f"kv/{prefix}?recurse")
            ever = [index for key, index in self.model.key_indexes.items() if key.startswith(prefix)]
            assert self.indexes[f"kv/{prefix}?recurse"] == max(ever, default=1)

    @invariant()
    def the_rest_is_the_models(self) -> None:
        assert self.portal.app.engine.index == self.model.index
        assert {session["ID"] for session in self.get("session/list")} == set(self.model.sessions)
        assert {node["Node"] for node in self.get("catalog/nodes")} == self.model.nodes
        ports = {one["Node"]["Node"]: one["Service"]["Port"] for one in self.get("health/service/web")}
        assert ports == self.model.ports
        config = {one["Name"]: (one["Protocol"], one["ModifyIndex"]) for one in self.get("config/service-defaults")}
        assert config == self.model.config


class InMemory(CatalogMachine):
    """Restarts over what a store in memory kept."""

    def __init__(self) -> None:
        self.memory = Memory()
        super().__init__()

    async def open_store(self) -> Store:
        await trio.lowlevel.checkpoint()
        return MemoryStore(self.memory)


class OnDisk(CatalogMachine):
    """Restarts over an SQLite file."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        super().__init__()

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()

    async def open_store(self) -> Store:
        return await open_sqlite(Path(self.folder.name) / "catalog.db")


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "examples", "steps"), [(InMemory, 30, 30), (OnDisk, 6, 25)])
def test_the_catalog_is_its_model(machine: type[CatalogMachine], examples: int, steps: int) -> None:
    """Bounded to a few seconds here; raise the numbers to search for longer."""
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )
