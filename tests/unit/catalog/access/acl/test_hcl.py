"""HCL: the subset that rules are written in, and nothing that is half understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.access.acl.hcl import MAX_DEPTH, MAX_LENGTH, HclError, parse_hcl

READ = {
    'a = "x"': {"a": ["x"]},
    'a = "x" // c\n# d\n/* e\nf */ b = 1': {"a": ["x"], "b": [1]},
    'k "l" { p = "r" }': {"k": [{"l": [{"p": ["r"]}]}]},
    '"k" "l" "m" {}': {"k": [{"l": [{"m": [{}]}]}]},
    "k { a = true, b = -1.5; c = [1, false, [], {x = 2}] }": {
        "k": [{"a": [True], "b": [-1.5], "c": [[1, False, [], {"x": [2]}]]}]
    },
    'k "a" { p = "r" } k "a" { p = "w" }': {"k": [{"a": [{"p": ["r"]}]}, {"a": [{"p": ["w"]}]}]},
    r'a = "q\"\\\u00e9"': {"a": ['q"\\é']},
    "": {},
    "  # nothing": {},
    "a = [1,]": {"a": [[1]]},
}


@pytest.mark.parametrize(("text", "value"), READ.items())
def test_what_is_read(text: str, value: object) -> None:
    assert parse_hcl(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a =",
        'a = "x',
        "a {",
        "a = [1 2]",
        "a = [",
        "}",
        "= 1",
        'a = "${b}"',
        "a = <<EOF\nx\nEOF",
        "a = b",
        "a = 1.2.3",
        "/* open",
        'a = "\n"',
        r'a = "\q"',
        "a = " + "[" * 40,
        "a " * 4 + "{" * 40,
        "a " + '"b" ' * (MAX_DEPTH + 1) + "{}",
        " " * (MAX_LENGTH + 1),
    ],
)
def test_what_is_refused(text: str) -> None:
    """With the line it stands in, but never with a traceback."""
    with pytest.raises(HclError):
        parse_hcl(text)


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(HclError, match="line 3"):
        parse_hcl('a = 1\n\n"b" ? 2')


@given(st.text() | st.text('{}[]="ab01 \n,#/*\\$', max_size=60))
def test_any_text_gives_a_body_or_the_writers_error(text: str) -> None:
    try:
        assert isinstance(parse_hcl(text), dict)
    except HclError as error:
        assert str(error)
