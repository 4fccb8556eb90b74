"""The fields that filters may ask about, listing by listing."""

import pytest

from catalog.compile.selectors import CHECK, HEALTH, NODE, OPEN, SERVICE, Field, Kind


@pytest.mark.parametrize(
    ("fields", "selector", "kind"),
    [
        (NODE, "Meta", Kind.MAP),
        (NODE, "Meta.rack", Kind.TEXT),
        (NODE, "Nope", None),
        (NODE, "Node.Node", None),
        (SERVICE, "Tags", Kind.LIST),
        (SERVICE, "Port", Kind.NUMBER),
        (SERVICE, "Connect.Native", Kind.TRUTH),
        (SERVICE, "Proxy.Upstreams.DestinationName", Kind.TEXT),
        (SERVICE, "Proxy.Config.a.b.c", Kind.OPEN),
        (HEALTH, "Checks.ServiceTags", Kind.LIST),
        (HEALTH, "Checks", Kind.LIST),
        (HEALTH, "Service.Weights.Passing", Kind.NUMBER),
        (CHECK, "Status", Kind.TEXT),
    ],
)
def test_at(fields: Field, selector: str, kind: Kind | None) -> None:
    """A selector follows structs by field, maps by any key, and lists item by item."""
    found = fields.at(tuple(selector.split(".")))
    assert (None if found is None else found.kind) is kind


def test_open_is_open() -> None:
    """Free JSON has every field."""
    assert OPEN.at(("a", "b")) is OPEN
