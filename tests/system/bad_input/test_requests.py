"""Requests that are too long, too deep or no text at all: refused at once with the right status, nothing lost."""

import json
from urllib.parse import quote

import pytest

from tests.system.bad_input.target import Target

pytestmark = pytest.mark.slow

DEEP = 10_000
REFUSED_WITHIN_S = 1.0

JSON_BODIES = {
    "lists in lists": b"[" * 100_000,
    "objects in objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "not a number": b'{"Node":NaN}',
    "a number of 100,000 digits": b'{"Node":1' + b"0" * 100_000 + b"}",
    "an exponent of six digits": b'{"Node":1e999999}',
    "half a surrogate pair": b'{"Node":"\\ud800","Name":"\\ud800","ID":"\\udfff"}',
    "half a surrogate pair as a key": b'{"\\ud800":1}',
    "no UTF-8": b'{"Node":"\xff"}',
    "a string": b'"x"',
    "null": b"null",
    "an open object": b'{"Node":"a"',
    "two values": b"{}{}",
}

JSON_PATHS = (
    ("PUT", "/v1/catalog/register"),
    ("PUT", "/v1/catalog/deregister"),
    ("PUT", "/v1/txn"),
    ("PUT", "/v1/session/create"),
    ("POST", "/v1/query"),
    ("PUT", "/v1/config"),
    ("PUT", "/v1/connect/intentions/exact?destination=a&source=b"),
    ("PUT", "/v1/coordinate/update"),
    ("PUT", "/v1/acl/token"),
    ("PUT", "/v1/acl/policy"),
    ("POST", "/v1/acl/login"),
    ("PUT", "/v1/connect/ca/configuration"),
    ("PUT", "/v1/operator/autopilot/configuration"),
)
AGENT_PATHS = (
    ("PUT", "/v1/agent/service/register"),
    ("PUT", "/v1/agent/check/register"),
    ("PUT", "/v1/agent/check/update/x"),
)
LISTS = ("/v1/catalog/nodes", "/v1/catalog/service/web", "/v1/health/service/web", "/v1/health/state/any")
AGENT_LISTS = ("/v1/agent/services", "/v1/agent/checks")


def filters() -> dict[str, str]:
    """Filters beyond all bounds, by what is wrong with them."""
    return {
        "100 KB": " and ".join(["a in Meta"] * 8000)[:100_000],
        "parentheses": "(" * DEEP + "Node==a" + ")" * DEEP,
        "negations": "not " * DEEP + "Node==a",
        "one name": "Meta." * DEEP,
        "one value": f'Node == "{"x" * 40_000}',
        "a pattern": f'Node matches "{"(a*)*" * 5000}"',
    }


@pytest.mark.parametrize("wrong", filters())
def test_a_filter_beyond_bounds_is_refused_at_once(target: Target, wrong: str) -> None:
    """500 with Consul's words; 431 where it does not fit into a head of 60 KiB."""
    paths = LISTS if target.place.token else (*LISTS, *AGENT_LISTS)
    with target.keeps_its_own():
        for path in paths:
            reply = target.ask("GET", f"{path}?filter={quote(filters()[wrong], safe='()')}")
            assert reply.status in {500, 431}, (path, reply)
            assert reply.status == 431 or reply.text.startswith("Failed to create boolean expression"), reply
            assert reply.seconds < REFUSED_WITHIN_S, (path, reply)
            assert len(reply.body) < 1000, reply


@pytest.mark.parametrize("wrong", JSON_BODIES)
def test_a_body_that_is_no_sane_json_is_refused(target: Target, wrong: str) -> None:
    """400 wherever JSON is read, also where nothing else is there to be wrong; 401 where tokens are off."""
    paths = JSON_PATHS if target.place.token else (*JSON_PATHS, *AGENT_PATHS)
    with target.keeps_its_own():
        for method, path in paths:
            reply = target.ask(method, path, JSON_BODIES[wrong])
            assert reply.status == (400 if target.place.token or "/acl/" not in path else 401), (path, reply)
            assert reply.seconds < REFUSED_WITHIN_S, (path, reply)
            assert len(reply.body) < 1000, reply


def test_a_large_value_is_refused_and_not_kept_in_memory(target: Target) -> None:
    """512 KiB is the bound (Consul's); 40 values of 10 MB cost 413 each and no memory."""
    assert target.ask("PUT", "/v1/kv/large", b"x" * 512 * 1024).status == 200
    assert target.ask("PUT", "/v1/kv/large", b"y" * (512 * 1024 + 1)).status == 413
    with target.keeps_its_own(growth_kb=24 * 1024):
        for _ in range(40):
            reply = target.ask("PUT", "/v1/kv/large", b"z" * 10_000_000)
            assert (reply.status, reply.text[:25]) == (413, "Request body is too large")
    assert target.ask("GET", "/v1/kv/large?raw").body == b"x" * 512 * 1024


@pytest.mark.parametrize("count", [129, 5000, 10_000])
def test_a_large_transaction_is_refused_as_a_whole(target: Target, count: int) -> None:
    """413, and none of its keys is there."""
    operations = [{"KV": {"Verb": "set", "Key": f"many/{number}", "Value": ""}} for number in range(count)]
    with target.keeps_its_own():
        assert target.ask("PUT", "/v1/txn", json.dumps(operations).encode()).status == 413
    assert target.ask("GET", "/v1/kv/many?keys").status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/kv/a%00b", 400),
        ("/v1/kv/%ff%fe", 400),
        ("/v1/kv/%ed%a0%80", 400),
        ("/v1/kv/\xff\xfe", 400),
        (f"/v1/kv/{'k' * 2049}", 400),
        (f"/v1/kv/{'k' * 50_000}", 400),
        (f"/v1/kv/{'k' * 70_000}", 431),
        ("/v1/kv//a%0d%0aX-Evil:%201", 307),
        ("/v1/kv/a?x=%ff", 400),
        ("/v1/kv/a?x=\xff", 400),
        (f"/v1/kv/a?{'&'.join(['a'] * 25_000)}", 400),
        (f"/v1/kv/a?{'&'.join(['a'] * 100_000)}", 431),
        ("/v1/session/destroy/%00", 200),
        (f"/v1/session/renew/{'a' * 20_000}", 404),
        (f"/v1/event/fire/{'a' * 20_000}", 500),
    ],
)
def test_a_path_that_is_no_name_is_refused(target: Target, path: str, status: int) -> None:
    """And nothing of it comes back as a header of its own."""
    reply = target.ask("PUT", path, b"x")
    assert reply.status == status, reply
    assert "\r\nX-Evil" not in reply.head
    assert len(reply.body) < 1000
    target.is_well()


@pytest.mark.parametrize(
    "name", ["%00", "%0d%0a", "%ff", "%ed%a0%80", "a" * 20_000, "%2e%2e%2f", "%3f", "%20", "é".encode()]
)
def test_no_name_makes_a_read_fail(target: Target, name: str | bytes) -> None:
    """Whatever a path names: it is there, it is not, or it is no name; never the catalog's own failure."""
    text = name if isinstance(name, str) else quote(name)
    families = (
        "catalog/node",
        "catalog/service",
        "catalog/connect",
        "catalog/node-services",
        "catalog/gateway-services",
        "health/service",
        "health/node",
        "health/checks",
        "session/info",
        "session/node",
        "coordinate/node",
        "query",
        "config/service-defaults",
        "discovery-chain",
        "acl/policy/name",
        "peering",
        "agent/health/service/name",
        "agent/health/service/id",
        "agent/service",
    )
    for family in families:
        reply = target.ask("GET", f"/v1/{family}/{text}")
        assert 200 <= reply.status < 500, (family, reply)
    target.is_well()


@pytest.mark.parametrize("bad", ["\\u0000", "\\r\\nX: 1", "\\ud800", "a" * 100_000, "\\u001b[2J"])
@pytest.mark.parametrize(
    "shape",
    [
        '{"Node":"%s","Address":"10.0.0.1"}',
        '{"Node":"n","Address":"%s"}',
        '{"Node":"n","Address":"10.0.0.1","Service":{"Service":"%s"}}',
        '{"Node":"n","Address":"10.0.0.1","Service":{"Service":"s","ID":"%s"}}',
        '{"Node":"n","Address":"10.0.0.1","Service":{"Service":"s","Tags":["%s"]}}',
        '{"Node":"n","Address":"10.0.0.1","Check":{"Name":"%s"}}',
        '{"Node":"n","Address":"10.0.0.1","Check":{"Name":"c","Status":"%s"}}',
    ],
)
def test_a_registration_with_such_a_name_is_refused(target: Target, shape: str, bad: str) -> None:
    """Control characters, half characters and novels are no names, addresses, tags or statuses; nothing is kept."""
    reply = target.ask("PUT", "/v1/catalog/register", shape.replace("%s", bad).encode())
    assert reply.status == 400, reply
    assert len(reply.body) < 1000
    assert target.ask("GET", "/v1/catalog/node/n").text == "null"


@pytest.mark.parametrize("shape", ['{"%s":"x"}', '{"a":"%s"}'])
def test_metadata_is_the_callers_own_and_bounded(target: Target, shape: str) -> None:
    """Keys and values are kept as they are, whatever characters; but not half ones, and not without bounds."""
    body = '{"Node":"meta","Address":"10.0.0.1","NodeMeta":' + shape + "}"
    for bad in ("\\ud800", "a" * 100_000):
        assert target.ask("PUT", "/v1/catalog/register", body.replace("%s", bad).encode()).status == 400
    odd = shape.replace("%s", "\\u0000\\r\\nX: 1\\u001b")
    assert target.ask("PUT", "/v1/catalog/register", body.replace(shape, odd).encode()).status == 200
    reply = target.ask("GET", "/v1/catalog/node/meta")
    assert json.loads(reply.body)["Node"]["Meta"] == json.loads(odd)
    assert "X: 1" not in reply.head


@pytest.mark.parametrize("bad", ["\\u0000", "\\r\\nX: 1", "\\ud800", "a" * 100_000])
@pytest.mark.parametrize(
    "shape",
    [
        '{"Name":"web","ID":"%s"}',
        '{"Name":"%s"}',
        '{"Name":"web","Tags":["%s"]}',
        '{"Name":"web","Meta":{"a":"%s"}}',
        '{"Name":"web","Address":"%s"}',
        '{"Name":"web","Check":{"Name":"%s","TTL":"10s"}}',
        '{"Name":"web","Check":{"HTTP":"http://127.0.0.1:1/","Header":{"%s":["b"]},"Interval":"10s"}}',
        '{"Name":"web","Token":"%s"}',
    ],
)
def test_no_definition_ends_the_agent(open_target: Target, shape: str, bad: str) -> None:
    """What the agent takes and the catalog refuses is said in the log; half a surrogate pair nobody takes."""
    reply = open_target.ask("PUT", "/v1/agent/service/register", shape.replace("%s", bad).encode())
    assert reply.status in ({400} if bad == "\\ud800" else {200, 400}), reply
    for path in ("/v1/agent/services", "/v1/agent/checks", "/v1/catalog/services"):
        assert open_target.ask("GET", path).status == 200
    open_target.ask("PUT", "/v1/agent/service/deregister/web")
    open_target.is_well()
