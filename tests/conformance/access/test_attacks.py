"""Attacks on access control by holders of small tokens, over real sockets: each one must gain nothing and learn nothing."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from catalog.audit.log import AuditLog
from tests.conformance.access.acting import attack, make_token, operate, register
from tests.fakes.catalog_site import Site

READ_SOME = 'service "web" { policy = "read" } node "n1" { policy = "read" }'


# Escalation.


async def test_a_transaction_registers_no_proxy_for_a_foreign_service(guarded: Site) -> None:
    """As `catalog/register` refuses it: a sidecar is dialled by all who call its destination."""
    await register(guarded, "n1", "victim")
    token = await make_token(guarded, 'service "evil" { policy = "write" }')
    proxy = {"Service": "evil", "Kind": "connect-proxy", "Proxy": {"DestinationServiceName": "victim"}, "Port": 1}
    for verb in ("set", "cas"):
        body = [{"Service": {"Verb": verb, "Node": "n1", "Service": proxy}}]
        answer = await attack(guarded, token, "PUT", "txn", body)
        assert answer.status_code == 403, answer.text
    assert guarded.engine.state.connect("victim") == []


async def test_a_transaction_names_no_service_behind_an_id(guarded: Site) -> None:
    """Whoever guesses ids learns neither the services' names nor, where both are refused, that one is there."""
    await register(guarded, "n1", "secret", ID="id1")
    token = await make_token(guarded, 'service "mine" { policy = "write" } node "n1" { policy = "write" }')
    for verb in ("get", "set", "delete"):
        said = []
        for one_id in ("id1", "id2"):
            check = {"Node": "n1", "CheckID": "x", "Name": "x", "ServiceID": one_id, "Status": "critical"}
            instance = {"ID": one_id, "Service": "other"}
            for body in (
                [{"Check": {"Verb": verb, "Check": check}}],
                [{"Service": {"Verb": verb, "Node": "n1", "Service": instance}}],
            ):
                answer = await attack(guarded, token, "PUT", "txn", body)
                assert "secret" not in answer.text
                said.append((answer.status_code, answer.text.replace(one_id, "?")))
        assert said[:2] == said[2:]
        body = [{"Service": {"Verb": verb, "Node": "n1", "Service": {"ID": "id1", "Service": "mine"}}}]
        answer = await attack(guarded, token, "PUT", "txn", body)
        assert (answer.status_code, "secret" in answer.text) == (403, False)


async def test_a_query_keeps_its_token_only_for_who_could_give_it(guarded: Site) -> None:
    """Who may write a query must not point somebody else's rights at another service."""
    await register(guarded, "n1", "secret")
    strong = await make_token(guarded, 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }')
    weak = await make_token(guarded, 'query "q" { policy = "write" }')
    made = await operate(
        guarded, "POST", "query", {"Name": "q", "Token": strong["SecretID"], "Service": {"Service": "web"}}
    )
    [shown] = (await attack(guarded, weak, "GET", f"query/{made['ID']}")).json()
    turned = {**shown, "Service": {"Service": "secret"}}
    answer = await attack(guarded, weak, "PUT", f"query/{made['ID']}", turned)
    assert answer.status_code == 403, answer.text
    found = await attack(guarded, weak, "GET", "query/q/execute")
    assert found.json()["Nodes"] == []
    assert (await attack(guarded, weak, "PUT", f"query/{made['ID']}", {**turned, "Token": ""})).status_code == 200
    assert (await attack(guarded, weak, "GET", "query/q/execute")).json()["Nodes"] == []


async def test_who_manages_tokens_may_write_a_query_back(guarded: Site) -> None:
    """Nobody is shown the token, so that what was read must be good enough for the operator, and for its holder."""
    strong = await make_token(guarded, 'query "q" { policy = "write" }')
    made = await operate(
        guarded, "POST", "query", {"Name": "q", "Token": strong["SecretID"], "Service": {"Service": "web"}}
    )
    [shown] = (await attack(guarded, strong, "GET", f"query/{made['ID']}")).json()
    assert shown["Token"] == "<hidden>"
    assert (await attack(guarded, strong, "PUT", f"query/{made['ID']}", shown)).status_code == 200
    await operate(guarded, "PUT", f"query/{made['ID']}", shown)
    [after] = (await attack(guarded, strong, "GET", f"query/{made['ID']}")).json()
    assert after["Token"] == "<hidden>"


async def test_no_token_hides_behind_the_operators_accessor(guarded: Site) -> None:
    """It could neither be read nor deleted by it."""
    own = (await operate(guarded, "GET", "acl/token/self"))["AccessorID"]
    for accessor in (own, own.upper()):
        answer = await guarded.put("/v1/acl/token", {"AccessorID": accessor}, headers=guarded.as_operator())
        assert answer.status_code == 500, answer.text


async def test_the_credentials_of_an_auth_method_go_to_no_other_host(guarded: Site) -> None:
    """What is never shown again must not be sent to whom a later writer names."""
    config = {"Host": "https://192.0.2.1", "CACert": "pem", "ServiceAccountJWT": "a.b.c"}
    await operate(guarded, "PUT", "acl/auth-method", {"Name": "k", "Type": "kubernetes", "Config": config})
    shown = await operate(guarded, "GET", "acl/auth-method/k")
    assert shown["Config"]["ServiceAccountJWT"] == "<hidden>"
    for changed in ({"Host": "https://evil.example"}, {"CACert": "other"}):
        body = {**shown, "Config": {**shown["Config"], **changed}}
        answer = await guarded.put("/v1/acl/auth-method/k", body, headers=guarded.as_operator())
        assert answer.status_code == 500, answer.text
    await operate(guarded, "PUT", "acl/auth-method/k", {**shown, "Description": "same host"})


@pytest.mark.parametrize(
    "name", ['a" { policy = "write" } service_prefix "', "*", "a\n", "A", "a{name}", "${x}", "", "a/b", "-a", "x" * 257]
)
async def test_no_name_breaks_out_of_generated_rules(guarded: Site, name: str) -> None:
    """Not of service and node identities, nor of templated policies."""
    node = name if name != "A" else "a b"
    for body in (
        {"ServiceIdentities": [{"ServiceName": name}]},
        {"NodeIdentities": [{"NodeName": node, "Datacenter": "dc1"}]},
        {"TemplatedPolicies": [{"TemplateName": "builtin/service", "TemplateVariables": {"Name": name}}]},
        {"TemplatedPolicies": [{"TemplateName": "builtin/api-gateway", "TemplateVariables": {"Name": name}}]},
    ):
        answer = await guarded.put("/v1/acl/token", body, headers=guarded.as_operator())
        assert answer.status_code == 500, (body, answer.text)


async def test_a_check_is_registered_on_no_other_node(guarded: Site) -> None:
    """Whatever node the check itself names."""
    await register(guarded, "n1")
    await register(guarded, "n2")
    token = await make_token(guarded, 'node "n1" { policy = "write" }')
    body = {"Node": "n1", "Address": "192.0.2.1", "Check": {"Node": "n2", "Name": "c", "CheckID": "c"}}
    await attack(guarded, token, "PUT", "catalog/register", body)
    assert guarded.engine.state.node_checks("n2") == []


async def test_a_node_id_takes_over_no_other_node(guarded: Site) -> None:
    """Neither its name nor its services."""
    known = "6f2d3b0a-6d43-4f5c-9c53-0d9f0d6f7b11"
    await operate(guarded, "PUT", "catalog/register", {"Node": "n1", "ID": known, "Address": "192.0.2.1"})
    token = await make_token(guarded, 'node "mine" { policy = "write" }')
    await attack(guarded, token, "PUT", "catalog/register", {"Node": "mine", "ID": known, "Address": "192.0.2.9"})
    node = guarded.engine.state.node("n1")
    assert node is not None
    assert node.address == "192.0.2.1"


async def test_two_bootstraps_at_once_make_one_token(guarded: Site) -> None:
    """Of those who race, one gets it."""
    statuses: list[int] = []

    async def race() -> None:
        answer = await guarded.put("/v1/acl/bootstrap", headers=guarded.as_operator())
        statuses.append(answer.status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(race)
    assert sorted(statuses) == [200, 403, 403, 403, 403]
    assert len(guarded.engine.state.records("acl-tokens")) == 1


async def test_the_ways_to_show_a_token_do_not_mix(guarded: Site) -> None:
    """`?token` first, then the first header, then Bearer; an empty one is none; a wrong one is never passed over."""
    token = await make_token(guarded, 'key "a" { policy = "read" }')
    good = token["SecretID"]
    await operate(guarded, "PUT", "kv/a", b"v")
    table: list[tuple[str, list[tuple[str, str]], int]] = [
        (f"?token={good}", [("X-Consul-Token", "wrong")], 200),
        ("?token=wrong", [("X-Consul-Token", good)], 403),
        ("?token=", [("X-Consul-Token", good)], 200),
        (f"?token=wrong&token={good}", [], 403),
        ("", [("X-Consul-Token", ""), ("Authorization", f"Bearer {good}")], 200),
        ("", [("X-Consul-Token", "wrong"), ("X-Consul-Token", good)], 403),
        ("", [("x-consul-token", good)], 200),
        ("", [("X-Consul-Token", good.upper())], 403),
        ("", [("Authorization", f"bearer   {good}")], 200),
        ("", [("Authorization", f"Basic {good}")], 403),
        ("", [("Authorization", f"Bearer{good}")], 403),
        ("", [("Authorization", f"Bearer {good} x")], 403),
        ("", [("X-Consul-Token", good + "\u00a0")], 403),
    ]
    for query, headers, status in table:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        answer = await guarded.get(f"/v1/kv/a{query}", headers=httpx2.Headers(raw))
        assert answer.status_code == status, (query, headers, answer.text)


# Leaks.


@pytest.mark.parametrize(
    "path",
    [
        "catalog/nodes",
        "catalog/services",
        "health/state/any",
        "kv/?recurse",
        "session/list",
        "query",
        "config/service-defaults",
    ],
)
async def test_a_new_question_tells_no_index_of_hidden_things(guarded: Site, path: str) -> None:
    """Who varies his question, or comes with any index, must not read from the answer's that something happened."""
    token = await make_token(guarded, READ_SOME)

    async def indexes(number: int) -> list[str]:
        found = []
        for who in (None, token):
            mark = "&" if "?" in path else "?"
            for extra in (f"x={number}", f"node-meta=a:{number}", f"x={number}&index=1&wait=1ms"):
                answer = await attack(guarded, who, "GET", f"{path}{mark}{extra}")
                found.append(answer.headers["X-Consul-Index"])
        return found

    before = await indexes(1)
    await register(guarded, "n9", "hidden")
    await operate(guarded, "PUT", "kv/hidden", b"v")
    await operate(guarded, "PUT", "session/create", {"Node": "n9", "Checks": []})
    await operate(guarded, "POST", "query", {"Name": "hidden", "Service": {"Service": "hidden"}})
    await operate(guarded, "PUT", "config", {"Kind": "service-defaults", "Name": "hidden", "Protocol": "http"})
    assert await indexes(2) == before


@pytest.mark.parametrize(
    ("path", "rules", "change"),
    [
        ("kv/a", 'key "a" { policy = "read" }', ("PUT", "kv/hidden", b"v")),
        ("kv/a/?recurse", 'key_prefix "a/" { policy = "read" }', ("PUT", "kv/hidden", b"v")),
        (
            "config/service-defaults/web",
            READ_SOME,
            ("PUT", "config", {"Kind": "service-defaults", "Name": "hidden", "Protocol": "http"}),
        ),
        (
            "catalog/service/web",
            READ_SOME,
            ("PUT", "catalog/register", {"Node": "n9", "Address": "x", "Service": {"Service": "hidden"}}),
        ),
        ("coordinate/node/n1", READ_SOME, ("PUT", "catalog/register", {"Node": "n9", "Address": "x"})),
    ],
)
async def test_what_is_missing_has_no_index_of_hidden_things(
    guarded: Site, path: str, rules: str, change: tuple[str, str, Any]
) -> None:
    """One that may be read and is not there is answered alike while others come and go."""
    token = await make_token(guarded, rules)
    before = await attack(guarded, token, "GET", path)
    await operate(guarded, *change)
    after = await attack(guarded, token, "GET", path)
    assert after.headers["X-Consul-Index"] == before.headers["X-Consul-Index"]


@pytest.mark.parametrize(
    ("method", "path", "body"), [("POST", "linkspan/sync", {"wants": []}), ("GET", "acl/token/self", None)]
)
async def test_what_everybody_may_ask_tells_nothing_of_the_rest(
    guarded: Site, method: str, path: str, body: Any
) -> None:
    """Neither in the body nor in a header, while keys and tokens come and go."""
    bare = await make_token(guarded, "")
    said = []
    for _ in range(2):
        answers = [await attack(guarded, who, method, path, body) for who in (None, bare)]
        said.append([(answer.status_code, answer.text, answer.headers.get("X-Consul-Index")) for answer in answers])
        await operate(guarded, "PUT", "kv/hidden", b"v")
        await operate(guarded, "PUT", "acl/token", {})
    assert said[0] == said[1]


async def test_explaining_names_no_hidden_template(guarded: Site) -> None:
    """A refusal repeats what was asked, not what was found; and a template is as absent as any other query."""
    template = {"Name": "hidden", "Template": {"Type": "name_prefix_match"}, "Service": {"Service": "x"}}
    await operate(guarded, "POST", "query", template)
    bare = await make_token(guarded, "")
    for who in (None, bare):
        for name in ("hidden-a", "HIDDEN"):
            hidden = await attack(guarded, who, "GET", f"query/{name}/explain")
            absent = await attack(guarded, who, "GET", f"query/absent{name}/explain")
            assert hidden.status_code == 403
            assert hidden.text == absent.text.replace("absent", "")
    reader = await make_token(guarded, 'query "hidden-a" { policy = "read" }')
    answer = await attack(guarded, reader, "GET", "query/hidden-a/explain")
    assert (answer.status_code, answer.text) == (404, "Query not found")


async def test_what_a_network_exports_is_the_meshs_to_tell(guarded: Site) -> None:
    """The list of a network's exports holds the names of many services: no rule for a service opens it."""
    token = await make_token(guarded, 'service "default" { policy = "read" }')
    answer = await attack(guarded, token, "POST", "linkspan/sync", {"wants": [{"name": "exports/default"}]})
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("path", ["catalog/nodes", "health/state/any", "catalog/services", "kv/a", "kv/?recurse"])
async def test_parked_readers_lose_what_is_denied_to_them(guarded: Site, path: str) -> None:
    """A deny that comes while they wait holds for the answer that they get."""
    await register(guarded, "n1", "web")
    await operate(guarded, "PUT", "kv/a", b"v")
    rules = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } key_prefix "" { policy = "read" }'
    token = await make_token(guarded, rules)
    index = int((await attack(guarded, token, "GET", path)).headers["X-Consul-Index"])
    answers: list[httpx2.Response] = []

    async def read() -> None:
        mark = "&" if "?" in path else "?"
        answers.append(await attack(guarded, token, "GET", f"{path}{mark}index={index}&wait=5s"))

    with trio.fail_after(8):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            while not len(guarded.api.parking):  # noqa: ASYNC110 - the catalog is not there to tell tests
                await trio.sleep(0.005)
            denied = {"Name": token["PolicyName"], "Rules": rules.replace('"read"', '"deny"')}
            await operate(guarded, "PUT", f"acl/policy/{token['PolicyID']}", denied)
            await register(guarded, "n1", "web", Tags=["secret"])
            await register(guarded, "secret")
            await operate(guarded, "PUT", "kv/a", b"secret")
            await operate(
                guarded, "PUT", "catalog/register", {"Node": "n1", "Address": "x", "Check": {"Name": "secret"}}
            )
    assert "secret" not in answers[0].text.replace("lacks", "")
    assert answers[0].status_code == 403 or answers[0].text in {"[]", "{}", ""}


# The logs.


async def test_nobody_forges_lines_of_the_log(guarded: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What a caller says about a resource stays on one line."""
    forged = "x\n2026-01-01 ERROR forged\x1b[2K"
    body = {"wants": [], "refused": [{"name": forged, "version": "1", "reason": forged}]}
    token = await make_token(guarded, "")
    with caplog.at_level("DEBUG"):
        await attack(guarded, token, "POST", "linkspan/sync", body)
    said = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert said
    assert all(text.isprintable() for text in said)


async def test_nobody_forges_lines_of_the_audit_log(guarded: Site, tmp_path: Path) -> None:
    """A line is JSON, whatever the path holds; a long one is cut."""
    guarded.api.gate.audit = audit = AuditLog(tmp_path / "audit.log")
    paths = ("a%0a%7b%22who%22%3a%22operator%22%7d", "a%00%1b%5b2K", "x" * 5000, "%e2%80%a8")
    for path in paths:
        answer = await guarded.put(f"/v1/kv/{path}", b"v")
        assert answer.status_code == 403, (path[:20], answer.text)
    audit.close()
    lines = (tmp_path / "audit.log").read_bytes().split(b"\n")
    assert lines.pop() == b""
    read = [json.loads(line) for line in lines]
    assert [line["who"] for line in read] == ["anonymous"] * len(paths)
    assert max(map(len, lines)) < 4096
    assert all(char >= 0x20 for line in lines for char in line)
