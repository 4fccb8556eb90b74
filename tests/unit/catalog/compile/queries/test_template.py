"""Templates: what fills their holes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.compile.queries.definition import InvalidQueryError, Query
from catalog.compile.queries.template import check_template, render


def template(name: str, service: str, regexp: str = "", **fields: object) -> Query:
    return msgspec.convert(
        {
            "Name": name,
            "Template": {"Type": "name_prefix_match", "Regexp": regexp, "RemoveEmptyTags": True},
            "Service": {"Service": service, **fields},
        },
        Query,
    )


@pytest.mark.parametrize(
    ("service", "regexp", "expected"),
    [
        ("${name.full}", "", "geo-db-east"),
        ("${name.prefix}", "", "geo-"),
        ("${name.suffix}", "", "db-east"),
        ("x-${ name.suffix }-y", "", "x-db-east-y"),
        ("${match(0)}", "^geo-(.*)-(.*)$", "geo-db-east"),
        ("${match(1)}.${match(2)}", "^geo-(.*)-(.*)$", "db.east"),
        ("a${match(7)}", "^geo-(.*)-(.*)$", "a"),
        ("a${match(1)}", "^other$", "a"),
        ("a${match(1)}", "", "a"),
        ("$${name.full}", "", "${name.full}"),
        ("plain", "", "plain"),
    ],
)
def test_render(service: str, regexp: str, expected: str) -> None:
    assert render(template("geo-", service, regexp), "geo-db-east").service.service == expected


def test_every_text_is_filled() -> None:
    """Tags (empty ones go), meta values, datacenters, near."""
    query = template(
        "",
        "s",
        Tags=["${name.full}", "${match(3)}"],
        NodeMeta={"a": "${name.full}"},
        ServiceMeta={"b": "${name.full}"},
        Failover={"Datacenters": ["${name.full}"]},
        Near="${name.full}",
    )
    service = render(query, "n").service
    assert (service.tags, service.node_meta, service.service_meta) == (("n",), {"a": "n"}, {"b": "n"})
    assert (service.failover.datacenters, service.near) == (("n",), "n")


def test_what_is_no_template_stays() -> None:
    """Its holes are plain text."""
    query = msgspec.convert({"Name": "x", "Service": {"Service": "${name.full}"}}, Query)
    assert render(query, "x") is query
    check_template(query)


@pytest.mark.parametrize("text", ["${}", "${name}", "${match(x)}", "${match()}", "${upper(name.full)}"])
def test_holes_that_nothing_fills(text: str) -> None:
    with pytest.raises(InvalidQueryError, match="Bad format"):
        check_template(template("", text))


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text(service: str, name: str) -> None:
    """Any text is filled or refused."""
    try:
        rendered = render(template("", service), name)
    except InvalidQueryError:
        return
    assert isinstance(rendered.service.service, str)
