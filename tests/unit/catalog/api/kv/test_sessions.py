"""Session endpoints as handlers: defaults, the forms of durations, own nodes, rights."""

from typing import Any

import msgspec
import pytest

from catalog.access.authorizer import NOTHING
from catalog.api.api import Api
from catalog.api.http.errors import BadRequestError, NotFoundError, PermissionDeniedError, RefusedError
from catalog.api.kv.sessions import SessionEndpoints, lock_delay_ns
from catalog.server.assembly import own_registration
from catalog.state.changes import CreateSession
from catalog.state.records import ServiceCheck, Session
from tests.fakes.catalog_calls import make_call, open_api

S = 10**9


async def created(api: Api, body: Any) -> Session:
    answer = await SessionEndpoints(api).create(make_call("PUT", body=body))
    session = api.parking.state.session(msgspec.json.decode(answer.body)["ID"])
    assert session is not None
    return session


async def test_defaults_are_consuls() -> None:
    """No body at all: the catalog's own node, bound to its health, 15 s of lock-delay, no time to live."""
    async with open_api(node="server") as api:
        await api.submit(own_registration("server", "127.0.0.1", "dc1"))
        session = await created(api, b"")
        assert msgspec.structs.replace(session, id="x", create_index=0, modify_index=0) == Session(
            "x", "server", lock_delay_ns=15 * S, node_checks=("serfHealth",)
        )
        assert len(session.id) == 36
        assert await created(api, {"id": "mine", "Datacenter": "dc9", "Nonsense": 1}) != session


@pytest.mark.parametrize(
    ("body", "node_checks"),
    [
        ({}, ("serfHealth",)),
        ({"Checks": None}, ("serfHealth",)),
        ({"Checks": []}, ()),
        ({"NodeChecks": []}, ()),
        ({"checks": ["serfHealth"], "NodeChecks": ["serfHealth"]}, ("serfHealth",)),
    ],
)
async def test_checks_in_both_forms(body: Any, node_checks: tuple[str, ...]) -> None:
    """The older `Checks`, and `NodeChecks`; an empty list is no check, null is the default."""
    async with open_api(node="server") as api:
        await api.submit(own_registration("server", "127.0.0.1", "dc1"))
        assert (await created(api, body)).node_checks == node_checks


async def test_service_checks_must_be_there() -> None:
    async with open_api(node="server") as api:
        await api.submit(own_registration("server", "127.0.0.1", "dc1"))
        session = await created(api, {"ServiceChecks": [{"ID": "serfHealth"}]})
        assert session.service_checks == (ServiceCheck("serfHealth"),)
        with pytest.raises(RefusedError, match="none"):
            await created(api, {"ServiceChecks": [{"ID": "none"}]})


@pytest.mark.parametrize(
    ("given", "delay_ns"),
    [
        (None, 15 * S),
        ("", 15 * S),
        ("0s", 0),
        (0, 0),
        ("1.5s", 15 * S // 10),
        ("60s", 60 * S),
        (5, 5 * S),
        (0.5, S // 2),
        (60, 60 * S),
        (5 * S, 5 * S),
        (1000, 1000),
    ],
)
def test_lock_delays(given: str | float | None, delay_ns: int) -> None:
    """Text, seconds, or nanoseconds from 1,000 on."""
    assert lock_delay_ns(given) == delay_ns


@pytest.mark.parametrize(
    "body",
    [
        {"LockDelay": "61s"},
        {"LockDelay": 61},
        {"LockDelay": -1},
        {"LockDelay": "soon"},
        {"TTL": "9s"},
        {"TTL": "24h1s"},
        {"TTL": "10"},
        {"TTL": "-10s"},
        {"Behavior": "keep"},
        {"Node": "nobody"},
        {"NodeChecks": ["none"]},
        {"Node": "n" * 300},
    ],
)
async def test_what_consul_answers_with_500(body: Any) -> None:
    """Measured trap 3; nothing is made."""
    async with open_api(node="server") as api:
        await api.submit(own_registration("server", "127.0.0.1", "dc1"))
        with pytest.raises(RefusedError):
            await created(api, body)
        assert api.parking.state.sessions() == []


@pytest.mark.parametrize("body", [b"{", b"[]", {"Name": 1}, {"TTL": 10}, {"NodeChecks": "serfHealth"}])
async def test_a_body_that_is_none_is_400(body: Any) -> None:
    async with open_api(node="server") as api:
        with pytest.raises(BadRequestError):
            await created(api, body)


async def test_rights_are_on_the_sessions_node() -> None:
    """Who may not, ends and renews nothing and sees an empty list; an unknown session is no secret."""
    async with open_api(node="server") as api:
        await api.submit(own_registration("server", "127.0.0.1", "dc1"))
        await api.submit(CreateSession(Session("s", "server")))
        sessions = SessionEndpoints(api)
        for handler, shown in (
            (sessions.info, b"[]"),
            (sessions.all, b"[]"),
            (sessions.of_node, b"[]"),
            (sessions.destroy, None),
            (sessions.renew, None),
        ):
            call = msgspec.structs.replace(make_call(session_id="s", node="server"), authorizer=NOTHING)
            if shown is None:
                with pytest.raises(PermissionDeniedError):
                    await handler(call)
            else:
                assert (await handler(call)).body == shown
        assert (await sessions.destroy(make_call(session_id="none"))).body == b"true"
        with pytest.raises(NotFoundError, match="'none' not found"):
            await sessions.renew(make_call(session_id="none"))
        assert (await sessions.destroy(make_call(session_id="s"))).body == b"true"
        assert api.parking.state.sessions() == []
