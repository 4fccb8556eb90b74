"""Marks: names that fit and never collide, descriptions that keep their mark."""

import re

from hypothesis import given
from hypothesis import strategies as st

from agents.bridge.rules.marks import (
    MAX_DESCRIPTION_BYTES,
    Identity,
    Mark,
    describe,
    description_mark,
    is_marked,
    mirrored_node,
    node_origin,
)

MARK = Mark("b", Identity("dc1", "one.consul"))
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=80))
def test_a_mirrored_node_is_a_label(node: str, datacenter: str) -> None:
    """Whatever the names are, the result is a DNS label."""
    assert LABEL.fullmatch(mirrored_node(node, Mark("b", Identity(datacenter))))


def test_mirrored_nodes_do_not_collide() -> None:
    """Cut names, other bridges, other clusters and shifted dashes all give names of their own; letter case does not."""
    long = "n" * 100
    marks = [MARK, Mark("c", MARK.origin), Mark("b", Identity("dc1", "two.consul")), Mark("b", Identity("c"))]
    names = [mirrored_node(node, mark) for mark in marks for node in (long + "1", long + "2", "a-b", "a", "a.b")]
    names.append(mirrored_node("a", Mark("b", Identity("b-c"))))
    assert len(set(names)) == len(names)
    assert mirrored_node("Web", MARK) == mirrored_node("web", MARK)
    assert mirrored_node("web", MARK).startswith("web-dc1-")


@given(st.text(max_size=700))
def test_a_description_keeps_its_mark(text: str) -> None:
    """However long the text, the mark is whole, within what Consul takes."""
    written = describe(text, MARK)
    assert len(written.encode()) <= MAX_DESCRIPTION_BYTES
    found = description_mark(written)
    assert found is not None
    assert found == MARK or "[linkspan-bridge" in text


def test_marked_and_unmarked() -> None:
    """Any bridge's mark is one."""
    assert is_marked(MARK.instance_meta())
    assert not is_marked({"linkspan-network": "x"})
    assert node_origin(MARK.node_meta("n1")) == MARK.origin
    assert description_mark("for the linkspan-bridge") is None
