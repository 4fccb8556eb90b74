"""Typed views of the stored entries: decoded once, recorded, overlaid."""

from typing import Any

from catalog.compile.config_entries import decode_entry
from catalog.compile.entries.defaults import ServiceDefaults
from catalog.compile.entry_view import Overlay, Recorder, entry_of, is_l7, protocol_of
from catalog.state.changes import PutConfig

HTTP = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}


def test_stored_entries_follow_the_state(world: Any) -> None:
    """An entry is the same object until its modify index moves; a deleted one is gone."""
    assert world.entries.get("service-defaults", "web") is None
    world.put(HTTP)
    first = world.entries.get("service-defaults", "web")
    assert world.entries.get("service-defaults", "web") is first
    world.put({**HTTP, "Protocol": "grpc"})
    assert protocol_of(world.entries, "web") == "grpc"
    world.delete("service-defaults", "web")
    assert protocol_of(world.entries, "web") == "tcp"
    assert world.entries.names("service-defaults") == []


def test_unreadable_entry_is_missing(world: Any) -> None:
    """A body that this version cannot read counts as missing, which allows less."""
    world.apply(PutConfig("service-defaults", "web", {"Kind": "service-defaults", "Name": "web", "Future": 1}))
    assert world.entries.get("service-defaults", "web") is None


def test_recorder(world: Any) -> None:
    """What was asked for, found or not, is what a result depends on."""
    recorder = Recorder(world.entries)
    protocol_of(recorder, "web")
    recorder.names("mesh")
    assert recorder.topics == {
        ("config", "service-defaults", "web"),
        ("config", "proxy-defaults", "global"),
        ("config", "mesh"),
    }


def test_overlay(world: Any) -> None:
    """An overlay shows one write or delete and leaves the state alone."""
    world.put({**HTTP, "Name": "api"})
    with_web = Overlay(world.entries, "service-defaults", "web", decode_entry(HTTP))
    assert protocol_of(with_web, "web") == "http"
    assert list(with_web.names("service-defaults")) == ["api", "web"]
    without = Overlay(with_web, "service-defaults", "api", None)
    assert protocol_of(without, "api") == "tcp"
    assert list(without.names("service-defaults")) == ["web"]
    assert list(without.names("mesh")) == []
    assert world.entries.get("service-defaults", "web") is None


def test_entry_of_another_kind(world: Any) -> None:
    """A view that answers with another kind answers with nothing."""
    world.put(HTTP)
    assert entry_of(world.entries, ServiceDefaults, "service-defaults", "web") is not None
    assert entry_of(world.entries, str, "service-defaults", "web") is None


def test_is_l7() -> None:
    """Requests are seen in http, http2 and grpc."""
    assert [is_l7(protocol) for protocol in ("http", "http2", "grpc", "tcp", "")] == [True, True, True, False, False]
