"""Whole files: YAML and JSON, refusals with line and field."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.vm.definition.document import MAX_FILE_BYTES, DocumentError, parse_document

YAML = b"""\
services:
  - name: web
    port: 80
    check: {http: "http://127.0.0.1:80/", interval: 10s}
  - name: api
check:
  name: disk
  args: [/bin/df]
  interval: 30s
"""


def test_yaml_and_json_mean_the_same() -> None:
    """One schema, two notations."""
    document = parse_document(YAML, is_json=False)
    assert [service.id for service in document.services] == ["web", "api"]
    assert [check.check_id for check in document.checks] == ["disk"]
    as_json = {
        "services": [
            {"Name": "web", "Port": 80, "Check": {"HTTP": "http://127.0.0.1:80/", "Interval": "10s"}},
            {"Name": "api"},
        ],
        "check": {"name": "disk", "args": ["/bin/df"], "interval": "30s"},
    }
    assert document == parse_document(json.dumps(as_json).encode(), is_json=True)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"service:\n  name: a\n  prot: 1\n", "line 3: service.prot: unknown field"),
        (b"services:\n  - name: a\n  - name: a\n", "line 3: services[1]: a second service"),
        (b"services:\n  - name: a\n  - name: b\n    check:\n      ttl: zz\n", "line 5: services[1].check.ttl"),
        (b"service:\n  name: a\n  name: b\n", "line 3: not YAML: key 'name' is given twice"),
        (b"service: [", "line 1: not YAML"),
        (b"- 1\n", "line 1: a file holds"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"check:\n  ttl: 1s\n", "line 1: check.name"),
        (b"service: !!python/object:os.system {}\n", "line 1: not YAML"),
        (b"x" * (MAX_FILE_BYTES + 1), "at most"),
    ],
)
def test_yaml_refusals_say_line_and_field(data: bytes, text: str) -> None:
    """Whoever wrote the file finds the place."""
    with pytest.raises(DocumentError) as caught:
        parse_document(data, is_json=False)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{\n"service": {"name": "a",\n "port": 70000}}', "line 3: service.port: 70000"),
        (b'{"service": {"name": "a", "name": "b"}}', "key 'name' is given twice"),
        (b"{\n\n}}", "line 3: not JSON"),
        (b'{"service": {"name": "a", "port": NaN}}', "NaN"),
    ],
)
def test_json_refusals_say_line_and_field(data: bytes, text: str) -> None:
    """The same holds for JSON."""
    with pytest.raises(DocumentError) as caught:
        parse_document(data, is_json=True)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"service": {"name": "a", "id": "\\ud800"}}', "half a surrogate pair"),
        (b'{"service": {"name": "a", "\\udfff": 1}}', "half a surrogate pair"),
        (b'{"service": {"name": "a", "port": 1' + b"0" * 5000 + b"}}", "out of range"),
        (b'{"service": {"name": "a", "port": 1e999}}', "out of range"),
    ],
)
def test_nothing_is_read_that_could_not_be_written(data: bytes, text: str) -> None:
    """Text without UTF-8 and numbers without bounds are refused here: further in they would end the agent."""
    with pytest.raises(DocumentError) as caught:
        parse_document(data, is_json=True)
    assert text in str(caught.value)


def test_yaml_may_not_name_half_a_surrogate_pair_either() -> None:
    """Its escapes give such text, too."""
    with pytest.raises(DocumentError) as caught:
        parse_document(b'service: {name: a, id: "\\ud800"}', is_json=False)
    assert "half a surrogate pair" in str(caught.value)


def test_an_empty_file_defines_nothing() -> None:
    """Nothing is no error."""
    assert parse_document(b"", is_json=False) == parse_document(b"{}", is_json=True)


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_a_document_or_the_writers_error(data: bytes, is_json: bool) -> None:
    """No input makes the reader fail in any other way."""
    with contextlib.suppress(DocumentError):
        parse_document(data, is_json=is_json)


@settings(deadline=None)
@given(st.text(alphabet="service:name-[]{}&*!|>\n \t\"'#%@<1", max_size=120), st.booleans())
def test_any_near_yaml_gives_a_document_or_the_writers_error(text: str, is_json: bool) -> None:
    """Neither does text made of YAML's own letters."""
    with contextlib.suppress(DocumentError):
        parse_document(text.encode(), is_json=is_json)
