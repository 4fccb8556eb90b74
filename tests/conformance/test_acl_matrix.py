"""Every path and method against every kind of caller: nobody without a right reads, writes, or learns that something is there.

What is hidden exists once, under the name `hidden`; whoever has no right to it must be answered to the letter as for
`absent`, which does not exist: body, headers, index and all.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.routing import Route

from catalog.access.acl.model import MANAGEMENT_ID, READ_ONLY_ID, AclPolicy, Rights, Token, secret_hash, write_kept
from catalog.api.acl.records import token_creation
from catalog.api.app import routes
from catalog.api.http.endpoint import Endpoint
from catalog.state.changes import Batch, PutRecord
from tests.conformance.acl_rows import ANSWERED_ALIKE, DENIES, HIDES, OPEN, OWN, ROWS, RUN_BY_NAME, UNGUESSABLE, Row
from tests.fakes.catalog_calls import open_api
from tests.fakes.catalog_site import Site, open_site

HIDDEN, ABSENT = "hidden", "absent"
NO_ID = "00000000-0000-0000-0000-00000000dead"
BY_ROUTE = {row.route: row for row in ROWS}


class Scene:
    """A site with hidden things in it, and tokens made by rules."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.ids: dict[str, str] = {}

    async def token(self, name: str, rules: str = "", *policies: str) -> str:
        """The secret of a token with these rules."""
        secret = f"secret-{name}"
        policy = AclPolicy(f"policy-{name}", name, rules=rules)
        token = Token(f"token-{name}", secret_hash(secret), rights=Rights((policy.id, *policies)))
        put = PutRecord("acl-policies", policy.id, write_kept(policy))
        await self.site.engine.submit(Batch((put, *token_creation(token))))
        return secret

    async def made(self, method: str, path: str, body: Any = None) -> Any:
        """What the operator makes."""
        answer = await self.site.request(method, f"/v1/{path}", body, headers=self.site.as_operator())
        assert answer.status_code == 200, (path, answer.text)
        return msgspec.json.decode(answer.content)

    async def furnish(self) -> None:
        """Everything once, under the hidden name."""
        service = {"Service": HIDDEN, "Tags": [HIDDEN], "Connect": {"Native": True}}
        check = {"Name": HIDDEN, "CheckID": HIDDEN, "ServiceID": HIDDEN, "Status": "passing"}
        await self.made(
            "PUT", "catalog/register", {"Node": HIDDEN, "Address": "192.0.2.1", "Service": service, "Check": check}
        )
        await self.made("PUT", "config", {"Kind": "service-defaults", "Name": HIDDEN, "Protocol": "http"})
        await self.made("PUT", f"connect/intentions/exact?source=src&destination={HIDDEN}", {"Action": "allow"})
        await self.made("PUT", f"kv/{HIDDEN}", b"v")
        await self.made("PUT", f"event/fire/{HIDDEN}")
        self.ids["session"] = (await self.made("PUT", "session/create", {"Node": HIDDEN, "Checks": []}))["ID"]
        self.ids["query"] = (await self.made("POST", "query", {"Name": HIDDEN, "Service": {"Service": HIDDEN}}))["ID"]
        self.ids["policy"] = (await self.made("PUT", "acl/policy", {"Name": HIDDEN}))["ID"]
        self.ids["role"] = (await self.made("PUT", "acl/role", {"Name": HIDDEN}))["ID"]
        self.ids["token"] = (await self.made("PUT", "acl/token", {"Description": HIDDEN}))["AccessorID"]
        legacy = {"SourceName": "src2", "DestinationName": HIDDEN, "Action": "allow"}
        self.ids["intention"] = (await self.made("POST", "connect/intentions", legacy))["ID"]

    async def ask(self, row: Row, token: str, name: str = HIDDEN) -> httpx2.Response:
        """The request of a row, about the hidden thing or the absent one."""
        method, _, path = row.route.partition(" ")
        one_id = self.ids.get(row.of, NO_ID) if name == HIDDEN else NO_ID
        path = row.target or re.sub(r"\{[^}]*\}", "{id}" if row.of else "{x}", path)
        if "raft/peer" not in path and "{" in path:
            path = path.replace("{x}", name).replace("{id}", one_id)
        headers = {"X-Consul-Token": token} if token else {}
        return await self.site.request(method, path, filled(row.body, name), headers=headers)


def filled(value: Any, name: str) -> Any:
    """A body with the name in it."""
    if isinstance(value, str):
        return value.replace("{x}", name)
    if isinstance(value, dict):
        return {key: filled(inner, name) for key, inner in value.items()}
    return [filled(inner, name) for inner in value] if isinstance(value, list) else value


@asynccontextmanager
async def furnished() -> AsyncIterator[Scene]:
    async with open_site(with_own=True) as site:
        scene = Scene(site)
        await scene.furnish()
        yield scene


def rows(*kinds: str) -> Iterator[Row]:
    return (row for row in ROWS if row.kind in kinds)


def needs_write(row: Row) -> bool:
    return '"write"' in row.rules


async def test_every_route_has_its_row() -> None:
    """A new path without a line in the table fails here."""
    async with open_api() as api:
        served = {
            f"{method} {route.path}"
            for route in routes(api)
            if isinstance(route, Route) and isinstance(route.endpoint, Endpoint)
            for method in route.endpoint.methods
        }
    gone = {one for one in served if one.partition(" ")[2].startswith(ANSWERED_ALIKE)}
    assert sorted(served - gone - BY_ROUTE.keys()) == []
    assert sorted(BY_ROUTE.keys() - served) == []


async def test_without_a_token_nothing_is_open_but_what_says_so() -> None:
    """The same for a token without rights, and for the anonymous one by name."""
    async with furnished() as scene:
        bare = await scene.token("bare")
        wrong: list[str] = []
        for token in ("", bare, "anonymous"):
            for row in ROWS:
                status = (await scene.ask(row, token)).status_code
                refused = status == 403
                if (row.kind == DENIES) is not refused and row.kind != OWN:
                    wrong.append(f"{row.route}: {status} for {token!r}")
        assert not wrong, "\n".join(wrong)


async def test_a_wrong_token_is_refused_everywhere() -> None:
    """Also where nobody asks for one: a typo must not pass for anonymous."""
    async with furnished() as scene:
        answers = {row.route: await scene.ask(row, "lso_wrong") for row in ROWS}
        allowed = {
            route: answer.text
            for route, answer in answers.items()
            if (answer.status_code, answer.text) != (403, "ACL not found")
        }
        assert allowed == {}


async def test_reading_does_not_write() -> None:
    """A token that may read everything writes nothing; and it is not refused what it may read."""
    async with furnished() as scene:
        reader = await scene.token("reader", "", READ_ONLY_ID)
        wrong = []
        for row in rows(DENIES, HIDES):
            answer = await scene.ask(row, reader)
            if row.kind == DENIES and (answer.status_code == 403) is not needs_write(row):
                wrong.append(f"{row.route}: {answer.status_code} {answer.text[:80]}")
        assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", ["least", "management"])
async def test_who_has_the_right_is_not_refused(kind: str) -> None:
    """The least rules that the table names are enough; so is the policy that grants everything."""
    async with furnished() as scene:
        all_of_it = await scene.token("all", "", MANAGEMENT_ID)
        wrong = []
        for number, row in enumerate(rows(OPEN, DENIES, HIDES)):
            rules = row.rules.replace("{x}", HIDDEN)
            token = all_of_it if kind == "management" else await scene.token(f"least{number}", rules)
            answer = await scene.ask(row, token)
            if answer.status_code in {401, 403}:
                wrong.append(f"{row.route}: {answer.status_code} {answer.text[:120]}")
        assert not wrong, "\n".join(wrong)


async def test_what_is_hidden_is_answered_like_what_is_absent() -> None:
    """To the letter: status, body, headers, index; for nobody, for a token without rights, and for rights elsewhere."""
    async with furnished() as scene:
        bare = await scene.token("bare")
        elsewhere = await scene.token("elsewhere", SOME)
        wrong = []
        for token in ("", bare, elsewhere):
            for row in rows(DENIES, HIDES):
                if row.of in UNGUESSABLE or row.route == RUN_BY_NAME:
                    continue
                hidden, absent = await scene.ask(row, token), await scene.ask(row, token, ABSENT)
                if said(hidden, HIDDEN, scene) != said(absent, ABSENT, scene):
                    wrong.append(
                        f"{row.route} for {token!r}: {said(hidden, HIDDEN, scene)} / {said(absent, ABSENT, scene)}"
                    )
        assert not wrong, "\n".join(wrong)


SOME = 'node "other" { policy = "write" } service "other" { policy = "write" } key_prefix "other" { policy = "write" }'


def said(answer: httpx2.Response, name: str, scene: Scene) -> tuple[Any, ...]:
    """All that an answer says, with the name and id that were asked for taken out."""
    text = answer.text.replace(name, "?")
    for one_id in (*scene.ids.values(), NO_ID):
        text = text.replace(one_id, "?")
    headers = {key: value for key, value in answer.headers.items() if key not in {"date", "content-length"}}
    return answer.status_code, text, headers


async def test_what_is_gone_says_so_to_everybody() -> None:
    """Consul's old paths look at nothing, so that they can tell nothing."""
    async with furnished() as scene:
        gone = [
            (method, route.path)
            for route in routes(scene.site.api)
            if isinstance(route, Route)
            and isinstance(route.endpoint, Endpoint)
            and route.path.startswith(ANSWERED_ALIKE)
            for method in route.endpoint.methods
        ]
        assert gone
        for method, template in gone:
            path = re.sub(r"\{[^}]*\}", HIDDEN, template)
            alike = {
                (answer.status_code, answer.text)
                for headers in ({}, scene.site.as_operator())
                for answer in [await scene.site.request(method, path, {}, headers=headers)]
            }
            assert len(alike) == 1, path


OPERATIONS = [
    {"KV": {"Verb": "get", "Key": "{x}"}},
    {"KV": {"Verb": "get-or-empty", "Key": "{x}"}},
    {"KV": {"Verb": "get-tree", "Key": "{x}"}},
    {"KV": {"Verb": "check-index", "Key": "{x}", "Index": 1}},
    {"KV": {"Verb": "check-not-exists", "Key": "{x}"}},
    {"KV": {"Verb": "check-session", "Key": "{x}", "Session": NO_ID}},
    {"KV": {"Verb": "cas", "Key": "{x}", "Value": "dg==", "Index": 1}},
    {"KV": {"Verb": "delete", "Key": "{x}"}},
    {"KV": {"Verb": "delete-tree", "Key": "{x}"}},
    {"Node": {"Verb": "get", "Node": {"Node": "{x}"}}},
    {"Node": {"Verb": "delete", "Node": {"Node": "{x}"}}},
    {"Service": {"Verb": "get", "Node": "{x}", "Service": {"Service": "{x}", "ID": "{x}"}}},
    {"Service": {"Verb": "delete", "Node": "{x}", "Service": {"Service": "{x}", "ID": "{x}"}}},
    {"Check": {"Verb": "get", "Check": {"Node": "{x}", "CheckID": "{x}"}}},
    {"Check": {"Verb": "delete", "Check": {"Node": "{x}", "CheckID": "{x}"}}},
]


async def test_transactions_tell_no_more() -> None:
    """Each operation about the hidden thing is answered as about the absent one; alone, and behind one that is allowed."""
    async with furnished() as scene:
        allowed = {"KV": {"Verb": "get-or-empty", "Key": "other"}}
        wrong = []
        for token in ("", await scene.token("bare"), await scene.token("elsewhere", SOME)):
            for operation in OPERATIONS:
                for before in ([], [allowed]):
                    row = Row("PUT /v1/txn", DENIES, body=[*before, operation])
                    hidden, absent = await scene.ask(row, token), await scene.ask(row, token, ABSENT)
                    if said(hidden, HIDDEN, scene) != said(absent, ABSENT, scene):
                        wrong.append(
                            f"{operation} for {token!r}: {hidden.status_code} {hidden.text} / {absent.status_code} {absent.text}"
                        )
        assert not wrong, "\n".join(wrong)


async def test_lists_hold_nothing_hidden() -> None:
    """In no body and no header; and the index of a list stands still while only what is hidden changes."""
    async with furnished() as scene:
        tokens = {"": "", "elsewhere": await scene.token("elsewhere", SOME)}
        lists = [row for row in rows(HIDES) if row.route.startswith("GET")]
        extra = ("/v1/kv/?recurse", "/v1/kv/?keys", "/v1/kv/hid?keys", "/v1/catalog/services?filter=ServiceName!=x")
        before, leaks = {}, []
        for token in tokens.values():
            for path in (*(path_of(row) for row in lists), *extra):
                before[token, path] = await scene.site.get(path, headers={"X-Consul-Token": token} if token else {})
        await stir(scene)
        for (token, path), old in before.items():
            new = await scene.site.get(path, headers={"X-Consul-Token": token} if token else {})
            if HIDDEN not in path and HIDDEN in f"{old.text} {new.text} {old.headers} {new.headers}":
                leaks.append(f"{path} for {token!r} names it: {new.text[:200]}")
            if (old.headers.get("x-consul-index"), old.text) != (new.headers.get("x-consul-index"), new.text):
                leaks.append(
                    f"{path} for {token!r} moved: {old.headers.get('x-consul-index')} {new.headers.get('x-consul-index')}"
                )
        assert not leaks, "\n".join(leaks)


def path_of(row: Row) -> str:
    path = row.target or row.route.partition(" ")[2]
    return re.sub(r"\{[^}]*\}", HIDDEN, path)


async def stir(scene: Scene) -> None:
    """Changes of hidden things alone."""
    service = {"Service": HIDDEN, "Tags": ["stirred"], "Port": 1, "Connect": {"Native": True}}
    check = {"Name": HIDDEN, "CheckID": "other", "Status": "critical"}
    body = {"Node": HIDDEN, "Address": "192.0.2.2", "Service": service, "Check": check}
    await scene.made("PUT", "catalog/register", body)
    await scene.made("PUT", "catalog/register", {"Node": "hidden-too", "Address": "192.0.2.3"})
    await scene.made("PUT", "config", {"Kind": "service-defaults", "Name": HIDDEN, "Protocol": "tcp"})
    await scene.made("PUT", f"connect/intentions/exact?source=new&destination={HIDDEN}", {"Action": "deny"})
    await scene.made("PUT", f"kv/{HIDDEN}/deeper", b"v")
    await scene.made("PUT", f"kv/{HIDDEN}", b"other")
    await scene.made("PUT", f"event/fire/{HIDDEN}")
    await scene.made("PUT", "session/create", {"Node": "hidden-too", "Checks": []})
    await scene.made("POST", "query", {"Name": "hidden-two", "Service": {"Service": HIDDEN}})
