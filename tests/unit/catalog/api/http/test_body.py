"""Bodies: key rules, strictness, and texts that name the field."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.api.http.body import MAX_DEPTH, convert, decode, parse_json
from catalog.api.http.errors import BadRequestError
from catalog.api.v1.registration import RegisterBody, ServiceBody


def refused(raw: bytes, type_: type = RegisterBody, *, snake_case: bool = False) -> str:
    with pytest.raises(BadRequestError) as caught:
        decode(raw, type_, snake_case=snake_case)
    return str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"Node": "n", "NodeMeta": {"Zone-A": "1"}, "Service": {"Service": "web", "EnableTagOverride": true}}',
        b'{"node": "n", "nodemeta": {"Zone-A": "1"}, "service": {"service": "web", "enabletagoverride": true}}',
        b'{"NODE": "n", "nOdEmEtA": {"Zone-A": "1"}, "SERVICE": {"sErViCe": "web", "ENABLETAGOVERRIDE": true}}',
    ],
)
def test_keys_match_in_any_letter_case(raw: bytes) -> None:
    """Consul's catalog endpoints ignore the case of field names, never that of the keys of free maps."""
    body = decode(raw, RegisterBody)
    assert body.node == "n"
    assert body.node_meta == {"Zone-A": "1"}
    assert body.service == ServiceBody(service="web", enable_tag_override=True)


def test_snake_case_is_for_agent_endpoints_only() -> None:
    """`/catalog/register` refuses snake case, `/agent/service/register` takes it (reference: measured traps 1)."""
    raw = b'{"service": "web", "enable_tag_override": true, "tagged_addresses": {"wan_ip": {"address": "192.0.2.1"}}}'
    assert "enable_tag_override" in refused(raw, ServiceBody)
    body = decode(raw, ServiceBody, snake_case=True)
    assert body.enable_tag_override
    assert body.tagged_addresses["wan_ip"].address == "192.0.2.1"


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b'{"Node": "n", "Adress": "192.0.2.1"}', 'unknown field "Adress"'),
        (b'{"Service": {"Prot": 1}}', 'unknown field "Service.Prot"'),
        (b'{"Service": {"Port": "80"}}', 'field "Service.Port"'),
        (b'{"Service": {"Tags": ["a", 1]}}', 'field "Service.Tags['),
        (b'{"Service": {"Meta": {"a": 1}}}', 'field "Service.Meta[...]"'),
        (b'{"Node": 5}', 'field "Node"'),
        (b'{"Checks": {"a": 1}}', 'field "Checks"'),
        (b"[]", "object"),
        (b'{"Node": ', "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"", "empty"),
        (b"  ", "empty"),
        (b'{"Service": {"Port": 1e400}}', "out of range"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(raw: bytes, names: str) -> None:
    """400 texts say which field is wrong."""
    assert names in refused(raw)


def test_null_means_not_given() -> None:
    """Go leaves a field alone that is null; python-consul sends such bodies."""
    body = decode(b'{"Node": "n", "Service": null, "Checks": null, "NodeMeta": null}', RegisterBody)
    assert body == RegisterBody(node="n")


@pytest.mark.parametrize(("open_", "close"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5000, 200_000])
def test_nesting_is_bounded(open_: bytes, close: bytes, depth: int) -> None:
    """However deep a body nests, it is refused in words, and never ends the process."""
    with pytest.raises(BadRequestError, match=r"nests deeper|malformed"):
        parse_json(open_ * depth + b"1" + close * depth)


def test_nesting_up_to_the_bound_is_read() -> None:
    raw = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert json.dumps(parse_json(raw)) == raw.decode()


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        assert isinstance(decode(raw, RegisterBody), RegisterBody)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Node", "service", "PORT", "Tags", "meta", "Checks", "proxy", "Upstreams", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_gives_a_value_or_a_refusal(value: object) -> None:
    with contextlib.suppress(BadRequestError):
        body = convert(value, RegisterBody)
        assert msgspec.json.decode(msgspec.json.encode(body), type=RegisterBody) == body
