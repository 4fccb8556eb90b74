"""Filter expressions: Consul's language and its answers (reference/consul.md 1.4 and 9a.11), and no text breaks them."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.compile.filter import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, FilterError, parse_filter
from catalog.compile.selectors import CATALOG_SERVICE, CHECK, HEALTH, INTENTION, NODE, SERVICE, Field

ITEM: dict[str, Any] = {
    "Node": {"Node": "n1", "Datacenter": "dc1", "Meta": {"linkspan-network": "vm-paris"}, "Nothing": None},
    "Service": {
        "Service": "web",
        "ID": "web-1",
        "Tags": ["v1", "primary"],
        "Meta": {"version": "1.2", "a.b": "dotted", "env": "prod-eu"},
        "Port": 8080,
        "Weight": 1.5,
        "EnableTagOverride": False,
        "Empty": [],
    },
    "Checks": [{"Status": "passing", "Name": "tcp"}, {"Status": "critical", "Name": "http"}],
    "None": [],
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("   ", True),
        ("Service.Service == web", True),
        ('Service.Service == "web" and "v1" in Service.Tags', True),
        ("Service.Service == `web`", True),
        ("Service.Service != web", False),
        ('Service.Meta.version == "1.2" or Node.Datacenter == dc2', True),
        ('Service.Meta["version"] == 1.2', True),
        ('Service.Meta["a.b"] == dotted', True),
        ("Service.Meta[`a.b`] == dotted", True),
        ("Service.Tags contains primary", True),
        ("Service.Tags not contains primary", False),
        ("not Service.Tags contains primary", False),
        ("not (Service.Tags contains primary)", False),
        ("not not Service.Tags contains primary", True),
        ("v9 not in Service.Tags", True),
        ("version in Service.Meta", True),
        ("nope in Service.Meta", False),
        ("we in Service.Service", True),
        ("Service.Port == 8080", True),
        ('Service.Port == "8080"', True),
        ("Service.Port != 80", True),
        ("Service.Weight == 1.5", True),
        ("Service.EnableTagOverride == false", True),
        ("Service.EnableTagOverride == true", False),
        ("Service.Empty is empty", True),
        ("Service.Tags is not empty", True),
        ("None is empty", True),
        ("Node.Nothing is empty", True),
        ("Node.Missing is empty", True),
        ("Service.Meta.env matches `^prod`", True),
        ("Service.Meta.env matches `rod-`", True),
        ("Service.Meta.env matches `^rod`", False),
        ("Service.Meta.env not matches `^dev`", True),
        ("Service.Meta.nope != x", True),
        ("Service.Meta.nope == x", False),
        ('Service.Meta.nope matches ".*"', True),
        ("nope in Service.Nope", False),
        ("critical in Checks.Status", True),
        ("Checks.Status contains warning", False),
        ("Service.Service == db or Service.Service == web and Node.Datacenter == dc1", True),
        ("(Service.Service == db or Service.Service == web) and Node.Datacenter == dc2", False),
        ('Service.Service == "w\\"eb"', False),
        ("Service.Service==web", True),
    ],
)
def test_holds(text: str, holds: bool) -> None:
    """The answer is Consul's."""
    assert parse_filter(text)(ITEM) is holds


@pytest.mark.parametrize(
    "text",
    [
        "Service.Service = web",
        "true",
        "Service.Service",
        "Service.Service == ",
        "== web",
        "Service.Service == web AND Node.Node == n1",
        "Service.Service == web Node.Node == n1",
        "Service.Port >= 1",
        "Service.Port == 0x1F90",
        "(Service.Service == web",
        "Service.Service == web)",
        "any Service.Tags as t { t == v1 }",
        '"v1" Service.Tags',
        "Service.Tags is full",
        "Service.Meta.env matches `(`",
        "Service.Meta.env matches `a)|(b`",
        'Service.Service == "web',
        "Service.Service == and",
        "not",
        "in in in",
        "\x00",
    ],
)
def test_refused(text: str) -> None:
    """What is not in the language is an error that names the place."""
    with pytest.raises(FilterError, match=r"position|expression"):
        parse_filter(text)


@pytest.mark.parametrize(
    "text",
    [
        "Service.Service is empty",
        "Service.Port matches `8`",
        "Service.Port == web",
        "Service.Tags == v1",
        "1 in Service.Port",
    ],
)
def test_wrong_type(text: str) -> None:
    """An operator that does not suit the field's type is an error, not a silent no."""
    with pytest.raises(FilterError):
        parse_filter(text)(ITEM)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Checks.Status == critical", True),
        ("Checks.Status == warning", False),
        ("Checks.Status != passing", True),
        ("Checks.Status not matches `^(passing|critical)$`", False),
        ("not Checks.Status == passing", False),
        ("None.Status != passing", False),
    ],
)
def test_items_of_a_list(text: str, holds: bool) -> None:
    """A list on the way is asked item by item, and one suffices, also for a negated operator; `not` is about all."""
    assert parse_filter(text)(ITEM) is holds


@pytest.mark.parametrize(
    ("text", "fields", "refused"),
    [
        ("Service.Nope == x", HEALTH, 'Selector "Service.Nope" is not valid'),
        ("service.Service == x", HEALTH, 'Selector "service.Service" is not valid'),
        ("ServiceName.x == x", CATALOG_SERVICE, 'Selector "ServiceName.x" is not valid'),
        ("Service.Service is empty", HEALTH, 'Invalid match operator "Is Empty" for selector "Service.Service"'),
        ("Service.Meta.x is empty", HEALTH, 'Invalid match operator "Is Empty" for selector "Service.Meta.x"'),
        ("Service.Port matches `8`", HEALTH, 'Invalid match operator "Matches"'),
        ("8 in Service.Port", HEALTH, 'Invalid match operator "In"'),
        ("Service.Tags == v1", HEALTH, 'Invalid match operator "Equal"'),
        ("Service.Meta == v1", HEALTH, 'Invalid match operator "Equal"'),
        ("x in Checks", HEALTH, 'Invalid match operator "In"'),
        ("Service == x", HEALTH, 'Invalid match operator "Equal"'),
        ("Service.Port == eighty", HEALTH, "no number"),
        ("Connect.Native == maybe", SERVICE, "neither true nor false"),
        ("Meta.a.b == x", NODE, 'Selector "Meta.a.b" is not valid'),
        ("Service.ServiceTags is empty", CHECK, "is not valid"),
        ("SourceNam == x", INTENTION, "is not valid"),
    ],
)
def test_selectors_are_those_of_the_listing(text: str, fields: Field, refused: str) -> None:
    """An unknown field or an operator that does not suit it is refused when the filter is read, in Consul's words."""
    with pytest.raises(FilterError) as caught:
        parse_filter(text, fields)
    assert refused in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fields", "item", "holds"),
    [
        ('Service.Meta["a.b"] == dotted', HEALTH, ITEM, True),
        ('Node.Meta["linkspan-network"] == "vm-paris"', HEALTH, ITEM, True),
        ("Service.Meta.nope == ``", HEALTH, ITEM, True),
        ("Service.Kind != `mesh-gateway`", HEALTH, ITEM, True),
        ("Service.Connect.Native == false", HEALTH, ITEM, True),
        ("Service.Proxy.LocalServicePort == 0", HEALTH, ITEM, True),
        ("Service.Proxy.Upstreams is empty", HEALTH, ITEM, True),
        ("Checks is not empty", HEALTH, ITEM, True),
        ("Checks.ServiceTags is empty", HEALTH, ITEM, True),
        ("Service.Proxy.Config.protocol == http", HEALTH, ITEM, False),
        ("wan in Service.TaggedAddresses", HEALTH, ITEM, False),
        ("TaggedAddresses.wan.Port == 80", SERVICE, {"TaggedAddresses": {"wan": {"Port": 80}}}, True),
    ],
)
def test_a_listing_answers(text: str, fields: Field, item: dict[str, Any], holds: bool) -> None:
    """What a row leaves out counts as its kind's empty value."""
    assert parse_filter(text, fields)(item) is holds


def test_bounds() -> None:
    """Length and nesting are bounded; a long flat expression is not nesting."""
    parse_filter("(" * MAX_DEPTH + "A == b" + ")" * MAX_DEPTH)
    parse_filter(" and ".join(["Service.Service == web"] * MAX_TERMS))
    with pytest.raises(FilterError, match="comparisons"):
        parse_filter(" or ".join(["Service.Service == web"] * (MAX_TERMS + 1)))
    for text in ("(" * 10_000, "not " * 10_000 + "A == b", "A == " + "b" * MAX_LENGTH):
        with pytest.raises(FilterError):
            parse_filter(text)


def test_hostile_pattern_is_linear() -> None:
    """A pattern that would take exponential time elsewhere is answered at once."""
    test = parse_filter("A matches `^(a+)+$`")
    started = time.perf_counter()
    assert test({"A": "a" * 4000 + "b"}) is False
    assert time.perf_counter() - started < 1


_WORDS = st.sampled_from(
    [
        "Service.Service",
        "Service.Tags",
        "Service.Meta.env",
        "Checks.Status",
        "==",
        "!=",
        "in",
        "not",
        "contains",
        "is",
        "empty",
        "matches",
        "and",
        "or",
        "(",
        ")",
        '"v1"',
        "`x`",
        "80",
        "web",
        '"',
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=12).map(" ".join)))
@settings(max_examples=500, deadline=None)
def test_any_text(text: str) -> None:
    """Any text gives a filter that answers, or a `FilterError`."""
    for fields in (None, HEALTH):
        try:
            answer = parse_filter(text, fields)(ITEM)
        except FilterError:
            continue
        assert answer in {True, False}


_TERMS = st.sampled_from([("Service.Service == web", True), ("Service.Port == 1", False), ("v1 in Service.Tags", True)])


@given(
    st.recursive(
        _TERMS,
        lambda inner: st.one_of(
            inner.map(lambda pair: (f"not ({pair[0]})", not pair[1])),
            st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) and ({two[1][0]})", two[0][1] and two[1][1])),
            st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) or ({two[1][0]})", two[0][1] or two[1][1])),
        ),
        max_leaves=12,
    )
)
@settings(max_examples=200, deadline=None)
def test_logic(pair: tuple[str, bool]) -> None:
    """Any nesting of and, or and not answers as Python's would."""
    text, expected = pair
    assert parse_filter(text)(ITEM) is expected
