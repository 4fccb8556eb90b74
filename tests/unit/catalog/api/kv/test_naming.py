"""Keys in paths: what is clean, and where the others are sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.api.kv.naming import RedirectError, clean_path, key_of
from tests.fakes.catalog_calls import make_call


@pytest.mark.parametrize("key", ["", "a", "a/", "a/b", "a b", "a+b", "...", "a..b", ".a", "é", "a\nb"])
def test_a_clean_key_is_itself(key: str) -> None:
    """A slash at the end stays: it is part of the key."""
    assert key_of(make_call(key=key)) == key


@pytest.mark.parametrize(
    ("key", "query", "location"),
    [
        ("/a", "", "/v1/kv/a"),
        ("a//b", "", "/v1/kv/a/b"),
        ("a/./b", "", "/v1/kv/a/b"),
        ("a/../b", "", "/v1/kv/b"),
        ("a/..", "", "/v1/kv"),
        ("a//", "", "/v1/kv/a/"),
        ("../catalog/nodes", "", "/v1/catalog/nodes"),
        ("../../../../etc", "", "/etc"),
        ("a//b c", "recurse&separator=%2F", "/v1/kv/a/b%20c?recurse&separator=%2F"),
        ("a//b", "raw&token=secret", "/v1/kv/a/b?raw"),
        ("a//\r\nx: y", "", "/v1/kv/a/%0D%0Ax:%20y"),
        ("//example.com", "", "/v1/kv/example.com"),
        ("../..//example.com", "", "/example.com"),
    ],
)
def test_an_unclean_key_is_sent_to_the_clean_one(key: str, query: str, location: str) -> None:
    """With its query, but never with the token; and never to another host or with a header of the caller's making."""
    with pytest.raises(RedirectError) as caught:
        key_of(make_call("GET", query, key=key))
    assert (caught.value.status, caught.value.headers) == (307, ((b"location", location.encode()),))


def test_the_family_without_its_slash_is_sent_on() -> None:
    """Measured trap 7."""
    with pytest.raises(RedirectError) as caught:
        key_of(make_call("GET", "keys"))
    assert caught.value.headers == ((b"location", b"/v1/kv/?keys"),)


@given(st.text(alphabet="ab./", max_size=20))
def test_a_cleaned_path_is_clean(text: str) -> None:
    """Once is enough, and it begins with one slash, so that it names no host."""
    clean = clean_path("/" + text)
    assert clean_path(clean) == clean
    assert clean.startswith("/")
    assert "//" not in clean
