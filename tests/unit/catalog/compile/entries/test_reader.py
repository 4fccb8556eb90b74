"""The strict reader: spelling of keys, nulls, what is neutral, what is refused by name."""

from typing import Any, ClassVar

import msgspec
import pytest

from catalog.compile.entries.duration import Duration
from catalog.compile.entries.reader import (
    MAX_DEPTH,
    ConfigEntryError,
    EntryHead,
    EntryValue,
    fold,
    read_value,
    write_value,
)


class Inner(EntryValue, frozen=True):
    """A part."""

    some_number: int = 0
    wait: Duration | None = None

    unsupported: ClassVar[tuple[str, ...]] = ("Peer", "Namespace")
    neutral: ClassVar[Any] = {"Namespace": ("default",)}


class Outer(EntryHead, frozen=True):
    """A whole."""

    parts: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = msgspec.field(default_factory=dict)
    switch: bool | msgspec.UnsetType = msgspec.UNSET
    open: dict[str, Any] = msgspec.field(default_factory=dict)


@pytest.mark.parametrize("spelling", ["SomeNumber", "some_number", "somenumber", "SOME_NUMBER", "someNumber"])
def test_spelling(spelling: str) -> None:
    """Letter case and underscores of field names do not count."""
    value = read_value({"name": "x", "parts": [{spelling: 3}]}, Outer)
    assert value.parts[0].some_number == 3
    assert fold(spelling) == "somenumber"


def test_keys_of_maps_stay() -> None:
    """Names that the user chose are not touched."""
    value = read_value({"Name": "x", "ByName": {"Some_Name": {"some_number": 1}}, "Open": {"a_b": {"c_d": 1}}}, Outer)
    assert write_value(value) == {"Name": "x", "ByName": {"Some_Name": {"SomeNumber": 1}}, "Open": {"a_b": {"c_d": 1}}}


def test_null_is_absent() -> None:
    """A null is as good as nothing, but false is said."""
    assert write_value(read_value({"Name": "x", "Parts": None, "Switch": None}, Outer)) == {"Name": "x"}
    assert write_value(read_value({"Name": "x", "Switch": False}, Outer)) == {"Name": "x", "Switch": False}


def test_duration() -> None:
    """Durations come out as Go prints them."""
    assert write_value(read_value({"Wait": "90s"}, Inner)) == {"Wait": "1m30s"}


@pytest.mark.parametrize("empty", [None, "", {}, [], 0, False, {"A": {"B": []}}])
def test_unsupported_but_empty(empty: object) -> None:
    """Consul's fields that are not carried out may be there as long as they say nothing."""
    assert read_value({"Peer": empty, "Namespace": "default"}, Inner) == Inner()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"Name": "x", "Parts": [{}, {"Peer": "east"}]}, "Parts[1].Peer"),
        ({"Name": "x", "Parts": [{"Namespace": "team"}]}, "Parts[0].Namespace"),
        ({"Name": "x", "ByName": {"a": {"nope": 1}}}, "ByName['a'].nope"),
        ({"Name": "x", "Parts": [{"SomeNumber": 1, "some_number": 1}]}, "twice"),
        ({"Name": "x", "Parts": [{"SomeNumber": "1"}]}, "Parts[0].SomeNumber"),
        ({"Name": "x", "Parts": [{"SomeNumber": True}]}, "Parts[0].SomeNumber"),
        ({"Name": "x", "Parts": [{"Wait": "soon"}]}, "Parts[0].Wait"),
        ({"Name": "x", "Parts": ["x"]}, "Parts[0] must be an object, not a string"),
        ({"Name": "x", "Parts": [5]}, "a number"),
        ({"Name": "x", "Parts": "x"}, "Parts"),
        ({"Name": "x", "Switch": "true"}, "Switch"),
        ([], "the body must be an object, not a list"),
        ({}, "Name"),
    ],
)
def test_refused(body: object, named: str) -> None:
    """The error has status 400 and names the field."""
    with pytest.raises(ConfigEntryError) as caught:
        read_value(body, Outer)
    assert caught.value.status in {400, 500}
    assert named in str(caught.value)


class Nested(EntryValue, frozen=True):
    """A part of itself."""

    inner: "tuple[Nested, ...]" = ()


def test_depth() -> None:
    """Nesting is bounded, also inside of what is free or not carried out."""
    body: Any = {}
    for _ in range(10_000):
        body = {"Inner": [body]}
    for deep in (body, {"Name": "x", "Open": body}, {"Name": "x", "Parts": [{"Peer": body}]}):
        with pytest.raises(ConfigEntryError, match=f"{MAX_DEPTH} levels"):
            read_value(deep, Outer)
    assert read_value({"Inner": [{"Inner": [{}]}]}, Nested).inner
    # Taken apart by hand, or the interpreter would recurse through it.
    while body:
        body = body["Inner"].pop()
