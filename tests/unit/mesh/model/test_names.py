"""The rules for names: what is a name, what is none, and that nothing is repaired."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model.names import InvalidNameError, check_label, check_node, check_trust_domain

NEVER = ["", " ", "a b", "a\n", "a/b", "a\0", "ä", "a%", "*", "a:b", "..", "-a", "a-", "\u0661", "\u212a"]


@pytest.mark.parametrize("name", ["a", "7", "web", "web-2", "a--b", "a" * 63])
def test_labels_are_names_of_services(name: str) -> None:
    """RFC 1123: 1 to 63 letters, digits and dashes; returned as they came."""
    assert check_label(name, "service") == name


@pytest.mark.parametrize("name", [*NEVER, "Web", "a.b", "a_b", "a" * 64])
def test_other_texts_are_no_labels(name: str) -> None:
    """Refused with the rule and what was to be named; a closing line feed too, which `$` would let through."""
    with pytest.raises(InvalidNameError, match=r"service .* must be 1 to 63"):
        check_label(name, "service")


@pytest.mark.parametrize("name", ["a", "Node-1", "ip-10-0-0-1.eu.internal", "a_b", "a" * 128])
def test_nodes_may_have_host_names(name: str) -> None:
    """Dots, underscores and capitals are usual in host names."""
    assert check_node(name) == name


@pytest.mark.parametrize("name", [*NEVER, "_a", ".a", "a.", "a" * 129])
def test_other_texts_name_no_node(name: str) -> None:
    """What could be taken for a path or a second name is refused."""
    with pytest.raises(InvalidNameError, match="node name"):
        check_node(name)


@pytest.mark.parametrize("name", ["example.org", "a", "11111111-2222-3333-4444-555555555555.consul", "a" * 255])
def test_trust_domains(name: str) -> None:
    """SPIFFE-ID 2.1: lower-case letters, digits, dot, dash, underscore."""
    assert check_trust_domain(name) == name


@pytest.mark.parametrize("name", ["", "Example.org", "a/b", "a:1", "a@b", "a\n", "a" * 256, "ä"])
def test_other_texts_are_no_trust_domain(name: str) -> None:
    """Ports, users and capitals make another URI of it."""
    with pytest.raises(InvalidNameError, match="trust domain"):
        check_trust_domain(name)


@given(st.text(max_size=200))
def test_fuzz_any_text_is_a_name_as_it_stands_or_is_refused(text: str) -> None:
    """Never a changed name, never another error, and never a long message."""
    for check in (lambda name: check_label(name, "service"), check_node, check_trust_domain):
        try:
            found = check(text)
        except InvalidNameError as error:
            message = str(error)
        else:
            assert found == text
            assert text.isascii()
            continue
        assert len(message) < 1200
        assert "\n" not in message
