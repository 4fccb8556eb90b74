"""Key styles: anyone's spelling in, one struct out, everything unknown refused."""

import pytest

from agents.vm.definition.keys import MAX_VALUES, DefinitionError, read_struct, show_path
from agents.vm.definition.shapes import DocumentShape, ServiceShape


@pytest.mark.parametrize(
    "raw",
    [
        {"Name": "web", "TaggedAddresses": {"wan": {"Address": "1.2.3.4", "Port": 1}}},
        {"name": "web", "tagged_addresses": {"wan": {"address": "1.2.3.4", "port": 1}}},
        {"NAME": "web", "taggedaddresses": {"wan": {"ADDRESS": "1.2.3.4", "port": 1}}},
    ],
)
def test_every_key_style_means_the_same(raw: dict[str, object]) -> None:
    """CamelCase, snake_case and any letter case are one."""
    shape = read_struct(raw, ServiceShape)
    assert (shape.name, shape.tagged_addresses["wan"].address) == ("web", "1.2.3.4")


def test_keys_of_free_maps_stay_as_they_are() -> None:
    """Meta keys are the caller's own."""
    assert read_struct({"name": "web", "meta": {"My_Key": "v"}}, ServiceShape).meta == {"My_Key": "v"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"nmae": "web"}, "nmae: unknown field; did you mean 'name'?"),
        ({"name": "a", "Name": "b"}, "given twice"),
        ({"name": "a", "port": "80"}, "port: Expected int, got str"),
        ({"checks": [{"interval": []}]}, "checks[0].interval: Expected"),
        ({1: "a"}, "key 1 must be text"),
    ],
)
def test_refusals_name_the_field(raw: dict[object, object], text: str) -> None:
    """Every refusal says which field, and what is wrong with it."""
    with pytest.raises(DefinitionError) as caught:
        read_struct(raw, ServiceShape)
    assert text in str(caught.value)


def test_null_is_not_given() -> None:
    """`null` means the default, as in Go."""
    assert not read_struct({"name": "web", "tags": None}, ServiceShape).tags


def test_size_and_depth_are_bounded() -> None:
    """A document with too many values, or one that holds itself, is refused."""
    with pytest.raises(DefinitionError, match="too large"):
        read_struct({"name": "a", "tags": ["x"] * (MAX_VALUES + 1)}, ServiceShape)
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(DefinitionError, match="too large"):
        read_struct({"service": {"proxy": {"config": {"a": ring}}}}, DocumentShape)


def test_paths_are_shown_as_in_the_file() -> None:
    """A path reads like the way to the field."""
    assert show_path(("services", 0, "check", "http")) == "services[0].check.http"
