"""Events: fired, listed, kept within bounds, and watched by an index that is no count."""

from typing import Any

import msgspec
import pytest
import trio

from catalog.access.callers import Caller, CallerKind
from catalog.api.http.errors import BadRequestError, PermissionDeniedError, RefusedError
from catalog.api.operator.event import KEPT, EventEndpoints, index_of
from catalog.state.changes import Register
from catalog.state.records import Node, ServiceInstance
from tests.fakes.catalog_calls import make_call, mighty, open_api, powerless


async def names(events: EventEndpoints, query: str = "", **options: Any) -> list[str]:
    answer = await events.list_events(mighty(make_call("GET", query, **options)))
    return [event["Name"] for event in msgspec.json.decode(answer.body)]


def header(answer: Any) -> int:
    return int(dict(answer.headers)[b"x-consul-index"])


async def test_an_event_has_consuls_form() -> None:
    """Its payload in base64, null when there is none; fired it has no Lamport time yet."""
    async with open_api() as api:
        events = EventEndpoints(api)
        answer = await events.fire(make_call("PUT", "service=web&tag=v1&node=a", b"hi", name="deploy"))
        fired = msgspec.json.decode(answer.body)
        assert fired == {
            "ID": fired["ID"],
            "Name": "deploy",
            "Payload": "aGk=",
            "NodeFilter": "a",
            "ServiceFilter": "web",
            "TagFilter": "v1",
            "Version": 1,
            "LTime": 0,
        }
        await events.fire(make_call("PUT", name="other"))
        listed = await events.list_events(make_call())
        first, second = msgspec.json.decode(listed.body)
        assert (first["ID"], second["Payload"]) == (fired["ID"], None)
        assert header(listed) == index_of(second["ID"])
        assert await names(events, "name=deploy") == ["deploy"]
        assert await names(events, "name=nobody") == []


def test_an_index_is_made_of_the_id() -> None:
    """The halves of the UUID, exclusive-or: never 0, and no count of anything."""
    assert index_of("00000000-0000-0001-0000-000000000003") == 2
    assert index_of("00000000-0000-0001-0000-000000000001") == 1
    assert index_of("b54fe110-7af5-cafc-d1fb-afc8ba432b1c") > 2**62


async def test_a_watcher_wakes_when_the_newest_is_another(autojump_clock: trio.testing.MockClock) -> None:
    """However small the new index is; an index of an older event answers at once, and the wait ends with what there is."""
    async with open_api() as api:
        events = EventEndpoints(api)
        await events.fire(make_call("PUT", name="a"))
        first = header(await events.list_events(make_call()))
        started_s = trio.current_time()
        assert header(await events.list_events(make_call("GET", f"index={first}&wait=10s"))) == first
        assert trio.current_time() - started_s >= 10
        async with trio.open_nursery() as nursery:
            woken: list[int] = []

            async def watch() -> None:
                woken.append(header(await events.list_events(make_call("GET", f"index={first}&wait=60s"))))

            nursery.start_soon(watch)
            await trio.sleep(1)
            assert woken == []
            await events.fire(make_call("PUT", name="b"))
        assert woken != [first]
        before_s = trio.current_time()
        await events.list_events(make_call("GET", f"index={first}&wait=60s"))
        assert trio.current_time() == before_s


async def test_the_newest_are_kept() -> None:
    """256 of them, whoever fires how many."""
    async with open_api() as api:
        events = EventEndpoints(api)
        for number in range(KEPT + 5):
            await events.fire(make_call("PUT", name=f"e{number}"))
        found = await names(events)
        assert (len(found), found[0], found[-1]) == (KEPT, "e5", f"e{KEPT + 4}")


async def test_a_storm_leaves_no_more_than_is_kept() -> None:
    """Those who fire at the same time all see the same surplus; whatever they leave, the next ones remove."""
    async with open_api() as api:
        events = EventEndpoints(api)
        async with trio.open_nursery() as nursery:
            for number in range(KEPT * 3):
                nursery.start_soon(events.fire, make_call("PUT", name=f"storm{number}"))
        for number in range(6):
            await events.fire(make_call("PUT", name=f"after{number}"))
        assert len(await names(events)) == KEPT


@pytest.mark.parametrize(
    ("query", "body", "error"),
    [
        ("", b"x" * 513, RefusedError),
        ("node=(", b"", BadRequestError),
        (f"node={'a' * 300}", b"", BadRequestError),
        ("tag=v1", b"", BadRequestError),
    ],
)
async def test_what_is_too_large_or_unreadable_is_refused(query: str, body: bytes, error: type[Exception]) -> None:
    """Payloads are small, filters are regular expressions, and a tag needs its service."""
    async with open_api() as api:
        with pytest.raises(error):
            await EventEndpoints(api).fire(make_call("PUT", query, body, name="x"))


async def test_a_node_sees_what_is_meant_for_it() -> None:
    """By its name, and by the services and tags on it; everybody else sees all."""
    async with open_api() as api:
        events = EventEndpoints(api)
        services = (ServiceInstance(service="web", id="web", tags=("v1",)),)
        await api.submit(Register(node=Node(node="n1", address="192.0.2.1"), services=services))
        for query, name in (
            ("", "all"),
            ("node=n1", "mine"),
            ("node=^n2$", "others"),
            ("service=web", "web"),
            ("service=web&tag=v1", "v1"),
            ("service=web&tag=v2", "v2"),
            ("service=api", "api"),
        ):
            await events.fire(make_call("PUT", query, name=name))
        node = Caller(CallerKind.NODE, "n1")
        assert await names(events, caller=node) == ["all", "mine", "web", "v1"]
        assert len(await names(events)) == 7


async def test_rights() -> None:
    """To fire takes the right to the name; what may not be read is not listed."""
    async with open_api() as api:
        events = EventEndpoints(api)
        with pytest.raises(PermissionDeniedError):
            await events.fire(powerless(make_call("PUT", name="x")))
        await events.fire(make_call("PUT", name="x"))
        assert (await events.list_events(powerless(make_call()))).body == b"[]"
