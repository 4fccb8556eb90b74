"""A small world for compilers: a real state, filled by changes, and the typed view of its entries."""

from typing import Any

import pytest

from catalog.compile.config_entries import decode_entry, entry_body, entry_kind
from catalog.compile.entry_view import StoredEntries
from catalog.state.changes import AnyChange, DeleteConfig, PutConfig, PutIntention, Register
from catalog.state.records import Check, Connect, Node, Proxy, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health


class World:
    """A state that tests write to in words of the domain."""

    def __init__(self) -> None:
        self.state = State()
        self.entries = StoredEntries(self.state)

    def apply(self, change: AnyChange) -> Any:
        return self.state.apply(change, self.state.index + 1, 0.0).result

    def put(self, *bodies: dict[str, Any]) -> "World":
        for body in bodies:
            entry = decode_entry(body)
            self.apply(PutConfig(entry_kind(entry), entry.name, entry_body(entry)))
        return self

    def delete(self, kind: str, name: str) -> None:
        self.apply(DeleteConfig(kind, name))

    def intend(self, source: str, destination: str, action: str = "allow") -> "World":
        self.apply(PutIntention(destination, {"Name": source, "Action": action}))
        return self

    def node(self, name: str, address: str = "10.0.0.1", **meta: str) -> "World":
        self.apply(Register(Node(name, address, meta={key.replace("_", "-"): value for key, value in meta.items()})))
        return self

    def register(self, node: str, instance: ServiceInstance, *checks: Check) -> "World":
        known = self.state.node(node) or Node(node, "10.0.0.1")
        self.apply(Register(known, (instance,), tuple(checks)))
        return self

    def app(self, node: str, service: str, service_id: str = "", **fields: Any) -> "World":
        """An instance and the sidecar in front of it."""
        app_id = service_id or service
        self.register(node, ServiceInstance(service, app_id, port=80, **fields))
        proxy = Proxy(destination_service_name=service, destination_service_id=app_id)
        sidecar = ServiceInstance(
            f"{service}-sidecar-proxy", f"{app_id}-sidecar-proxy", port=20000, kind="connect-proxy", proxy=proxy
        )
        return self.register(node, sidecar)

    def native(self, node: str, service: str, **fields: Any) -> "World":
        return self.register(node, ServiceInstance(service, service, port=8443, connect=Connect(native=True), **fields))

    def check(self, node: str, check_id: str, status: Health, service_id: str = "") -> "World":
        known = self.state.node(node)
        assert known is not None
        self.apply(Register(known, (), (Check(check_id, status=status, service_id=service_id),)))
        return self


@pytest.fixture
def world() -> World:
    """An empty catalog."""
    return World()
