"""The bounds of a change: each refusal names the field as Consul spells it, and what is just within is taken."""

from typing import Any

import msgspec
import pytest

from catalog.state import limits
from catalog.state.changes import AnyChange, Batch, PutConfig, PutIntention, PutRecord, Register, UpdateCheck
from catalog.state.errors import InvalidChangeError
from catalog.state.records import Check, Node, Proxy, ServiceAddress, ServiceInstance, Weights
from catalog.state.state import State
from mesh.model.endpoint import Health

NODE = Node("n1", "10.0.0.1")


def service(**fields: Any) -> Register:
    return Register(NODE, (ServiceInstance("web", **fields),))


def check(**fields: Any) -> Register:
    return Register(NODE, checks=(Check("up", **fields),))


def node(**fields: Any) -> Register:
    return Register(msgspec.structs.replace(NODE, **fields))


def nested(depth: int) -> dict[str, Any]:
    """A mapping that holds lists in lists, `depth` of them."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return {"x": value} if depth else value


PAIRS_64 = {str(number): "x" for number in range(64)}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("Node", node(node="")),
        ("Node", node(node="a b")),
        ("Node", node(node="../x")),
        ("Address", node(address="")),
        ("Address", node(address="x" * 513)),
        ("Address", node(address="10.0.0.1\r\nX: y")),
        ("NodeMeta", node(meta=PAIRS_64 | {"65": "x"})),
        ("NodeMeta", node(meta={"k" * 129: "x"})),
        ("NodeMeta", node(meta={"": "x"})),
        ("NodeMeta['k']", node(meta={"k": "v" * 513})),
        ("TaggedAddresses['lan']", node(tagged_addresses={"lan": "x" * 513})),
        ("Service.Service", Register(NODE, (ServiceInstance(""),))),
        ("Service.Service", Register(NODE, (ServiceInstance("x" * 256),))),
        ("Service.Service", Register(NODE, (ServiceInstance("we\x00b"),))),
        ("Service.ID", service(id="i" * 256)),
        ("Service.Tags", service(tags=("t",) * 129)),
        ("Service.Tags", service(tags=("t" * 513,))),
        ("Service.Meta", service(meta=PAIRS_64 | {"65": "x"})),
        ("Service.Port", service(port=-1)),
        ("Service.Port", service(port=65536)),
        ("Service.TaggedAddresses", service(tagged_addresses={"wan": ServiceAddress("x", 70000)})),
        ("Service.Weights", service(weights=Weights(-1, 1))),
        ("Service.Weights", service(weights=Weights(1, 65536))),
        ("Service.Proxy", service(proxy=Proxy(config={"x": "y" * 65536}))),
        ("Service.Proxy.LocalServicePort", service(proxy=Proxy(local_service_port=65536))),
        ("Check.CheckID", Register(NODE, checks=(Check(""),))),
        ("Check.Output", check(output="x" * 16385)),
        ("Check.Definition", check(definition={"x": "y" * 65536})),
        ("Check.Interval", check(interval="1" * 129)),
        ("Output", UpdateCheck("n1", "up", Health.PASSING, "x" * 16385)),
        ("Services", Register(NODE, (ServiceInstance("web"),) * 1025)),
        ("TTL", Register(NODE, lease_ttl_s=3601)),
        ("TTL", Register(NODE, lease_ttl_s=-1)),
        ("TTL", Register(NODE, lease_ttl_s=float("nan"))),
        ("Kind", PutConfig("", "web", {})),
        ("Name", PutConfig("service-defaults", "", {})),
        ("Body", PutConfig("service-defaults", "web", {"x": "y" * 524288})),
        ("Body", PutConfig("service-defaults", "web", {"x": object()})),
        ("SourceName", PutIntention("web", {"Action": "allow"})),
        ("DestinationName", PutIntention("", {"Name": "api"})),
        ("Table", PutRecord("", "k", b"")),
        ("Value", PutRecord("t", "k", b"x" * (1024 * 1024 + 1))),
        ("Body", PutConfig("service-defaults", "web", nested(33))),
        ("Check.Definition", check(definition=nested(33))),
        ("Service.Proxy or Service.Connect", service(proxy=Proxy(upstreams=(nested(32),)))),
        ("Batch", Batch((PutRecord("t", "k", b""),) * 129)),
    ],
)
def test_out_of_bounds_is_refused_by_field(field: str, change: AnyChange) -> None:
    """Nothing unbounded or unprintable enters the state, and the sender is told which field it was."""
    state = State()
    with pytest.raises(InvalidChangeError) as caught:
        state.apply(change, 2, 0.0)
    assert caught.value.field == field
    assert str(caught.value).startswith(field)
    assert len(str(caught.value)) < 700
    assert (state.nodes(), state.records("t")) == ([], [])


@pytest.mark.parametrize(
    "change",
    [
        node(meta={"k" * 128: "v" * 512} | {str(number): "" for number in range(63)}),
        service(port=65535, weights=Weights(0, 65535), meta=PAIRS_64, kind="anything"),
        service(id="s" * 255, tags=("t" * 512,) * 128),
        Register(NODE, (ServiceInstance("My_Service.v2"),)),
        PutConfig("service-defaults", "web", nested(31)),
        check(output="x" * 16384, notes="two\nlines"),
        PutRecord("t", "k", b"x" * (1024 * 1024)),
    ],
)
def test_what_is_within_bounds_is_taken(change: AnyChange) -> None:
    """Consul's limits to the last character; service names that are no mesh names; output of several lines."""
    assert State().apply(change, 2, 0.0).result is True


def test_a_node_holds_a_bounded_number_of_rows() -> None:
    """No caller can fill the catalog under its own name; what is there can still be changed."""
    state = State()
    for start in range(0, limits.MAX_ON_NODE, limits.MAX_REGISTRATION):
        ids = range(start, start + limits.MAX_REGISTRATION)
        services = tuple(ServiceInstance("web", id=str(number)) for number in ids)
        checks = tuple(Check(str(number)) for number in ids)
        state.apply(Register(NODE, services, checks), state.index + 1, 0.0)
    for change in (service(id="more"), check()):
        with pytest.raises(InvalidChangeError, match="at most 8192"):
            state.apply(change, state.index + 1, 0.0)
    assert state.apply(service(id="0", port=1), state.index + 1, 0.0).changed
    assert state.apply(Register(Node("n2", "10.0.0.2"), (ServiceInstance("web"),)), state.index + 1, 0.0).changed
