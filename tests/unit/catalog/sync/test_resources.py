"""Sync answers: versions, one encoding for all, and the long poll that wakes on a true change."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from catalog.state.changes import PutConfig, PutIntention, Register, UpdateCheck
from catalog.state.records import Check, Connect, Node, ServiceInstance
from catalog.state.state import State
from catalog.store.memory import MemoryStore
from catalog.sync.compiled import Facts, UnknownResourceError
from catalog.sync.resources import Resources, SyncRefusedError, check_sync_request
from mesh.model.endpoint import EndpointSet, Health
from mesh.model.intention import IntentionSet
from mesh.model.snapshot import Roots
from mesh.wire.sync import MAX_WANTS, SyncRequest, Want
from tests.fakes.engine import running

FACTS = Facts("dc1", "td.test", lambda _: Roots("td.test", 0))


def native(service: str, service_id: str = "", **meta: str) -> Register:
    instance = ServiceInstance(service, service_id, port=1, connect=Connect(native=True), meta=meta)
    return Register(Node("n1", "10.0.0.1"), (instance,))


def wanting(*wants: tuple[str, str], wait_s: float = 0.0) -> SyncRequest:
    return SyncRequest(tuple(Want(name, version) for name, version in wants), wait_s)


class Still:
    """An engine without a writer: what is applied is there at once; nobody ever wakes."""

    def __init__(self) -> None:
        self.state = State()
        self.waits: list[float] = []

    def apply(self, change: Any) -> None:
        self.state.apply(change, self.state.index + 1, 0.0)

    async def wait(self, topics: Iterable[tuple[str, ...]], min_index: int, timeout_s: float) -> None:
        assert set(topics)
        assert min_index == self.state.index
        self.waits.append(timeout_s)
        await trio.sleep(timeout_s)


def test_version_is_of_the_content() -> None:
    """Equal content has an equal version whatever the index, on another catalog as well."""
    one, two = Still(), Still()
    first = Resources(one, FACTS)
    one.apply(native("web"))
    before = first.get("endpoints/web")
    one.apply(native("other"))
    one.apply(native("web", tag="x"))  # meta of the instance is not part of the endpoint
    assert first.get("endpoints/web") is before
    for _ in range(5):
        two.apply(native("noise", note=str(two.state.index)))
    two.apply(native("web"))
    after = Resources(two, FACTS).get("endpoints/web")
    assert after.version == before.version
    assert msgspec.json.decode(before.body, type=EndpointSet).index == 2
    assert msgspec.json.decode(after.body, type=EndpointSet).index == two.state.index
    one.apply(native("web", "web-2"))
    assert first.get("endpoints/web").version != before.version


def test_encoded_once() -> None:
    """However often a resource is asked for, it is compiled once per change and encoded once per content."""
    engine = Still()
    resources = Resources(engine, FACTS)
    for _ in range(10):
        resources.get("intentions/web")
        resources.get("chain/web")
    assert resources.encoded == 2
    engine.apply(PutIntention("other", {"Name": "api", "Action": "allow"}))
    resources.get("intentions/web")
    assert resources.encoded == 2
    engine.apply(PutIntention("web", {"Name": "api", "Action": "allow"}))
    value = msgspec.json.decode(resources.get("intentions/web").body, type=IntentionSet)
    assert (resources.encoded, [rule.source for rule in value.intentions]) == (3, ["api"])
    assert ("config", "service-intentions", "web") in resources.topics("intentions/web")


def test_cache_is_bounded() -> None:
    """Names that callers think up do not fill the memory, and dropping one changes no version."""
    resources = Resources(Still(), FACTS, cache_limit=10)
    version = resources.get("chain/s0").version
    for i in range(100):
        resources.get(f"chain/s{i}")
    assert len(resources._held) == 10
    assert resources.get("chain/s0").version == version


async def test_answers_at_once() -> None:
    """What the caller does not hold comes at once, and only that."""
    engine = Still()
    resources = Resources(engine, FACTS)
    first = await resources.answer(wanting(("roots", ""), ("chain/web", ""), wait_s=60))
    assert [part.name for part in first.changed] == ["roots", "chain/web"]
    assert (first.index, first.removed) == (engine.state.index, ())
    held = {part.name: part.version for part in first.changed}
    second = await resources.answer(wanting(("roots", held["roots"]), ("chain/web", "old"), wait_s=60))
    assert [part.name for part in second.changed] == ["chain/web"]
    assert await resources.answer(wanting(("roots", held["roots"]))) == msgspec.structs.replace(first, changed=())
    assert engine.waits == []


async def test_time_out(autojump_clock: MockClock) -> None:
    """Nothing new: an empty answer after the wait, which is bounded."""
    engine = Still()
    resources = Resources(engine, FACTS)
    version = resources.get("roots").version
    for asked_s, waited_s in ((5.0, 5.0), (1e9, 60.0), (-1.0, 0.0)):
        began_s = trio.current_time()
        answer = await resources.answer(wanting(("roots", version), wait_s=asked_s))
        assert answer.changed == ()
        assert trio.current_time() - began_s == waited_s


async def test_nothing_wanted(autojump_clock: MockClock) -> None:
    """A caller that follows nothing (an agent renewing its lease) waits out its time."""
    async with running(MemoryStore()) as catalog:
        resources = Resources(catalog, FACTS)
        began_s = trio.current_time()
        assert (await resources.answer(SyncRequest((), 3.0))).changed == ()
        assert trio.current_time() - began_s == 3.0


async def test_wakes_on_true_change(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """A parked caller sleeps through changes of others, and through one that leaves its content as it was."""
    async with running(MemoryStore()) as catalog:
        resources = Resources(catalog, FACTS)
        await catalog.submit(native("web"))
        held = {name: resources.get(name).version for name in ("endpoints/web", "intentions/web", "chain/web")}
        answers: list[Any] = []

        async def follow() -> None:
            answers.append(await resources.answer(wanting(*held.items(), wait_s=60)))

        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        assert catalog.waiting == 1
        await catalog.submit(native("other"))
        await catalog.submit(PutIntention("other", {"Name": "api", "Action": "allow"}))
        await catalog.submit(native("web", note="of no concern"))
        await catalog.submit(PutConfig("service-defaults", "web", {"Kind": "service-defaults", "Name": "web"}))
        await wait_all_tasks_blocked()
        assert (answers, catalog.waiting) == ([], 1)
        await catalog.submit(PutIntention("web", {"Name": "api", "Action": "allow"}))
        await wait_all_tasks_blocked()
        (answer,) = answers
        assert [part.name for part in answer.changed] == ["intentions/web"]
        assert answer.index == catalog.index
        assert catalog.waiting == 0


async def test_health_wakes(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """A check that turns changes the endpoints; its output alone does not."""
    async with running(MemoryStore()) as catalog:
        resources = Resources(catalog, FACTS)
        await catalog.submit(native("web"))
        await catalog.submit(
            Register(Node("n1", "10.0.0.1"), (), (Check("c", status=Health.PASSING, service_id="web"),))
        )
        answers: list[Any] = []

        async def follow() -> None:
            version = resources.get("endpoints/web").version
            answers.append(await resources.answer(wanting(("endpoints/web", version), wait_s=60)))

        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        await catalog.submit(UpdateCheck("n1", "c", Health.PASSING, "200 OK"))
        await wait_all_tasks_blocked()
        assert answers == []
        await catalog.submit(UpdateCheck("n1", "c", Health.CRITICAL, "refused"))
        await wait_all_tasks_blocked()
        (answer,) = answers
        (endpoint,) = msgspec.json.decode(answer.changed[0].body, type=EndpointSet).endpoints
        assert endpoint.health is Health.CRITICAL


async def test_many_callers_one_encoding(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """A change that wakes many is compiled and encoded once, and all get the same bytes."""
    async with running(MemoryStore()) as catalog:
        resources = Resources(catalog, FACTS)
        version = resources.get("endpoints/web").version
        answers: list[Any] = []

        async def follow() -> None:
            answers.append(await resources.answer(wanting(("endpoints/web", version), wait_s=60)))

        for _ in range(200):
            nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        encoded = resources.encoded
        await catalog.submit(native("web"))
        await wait_all_tasks_blocked()
        assert len(answers) == 200
        assert resources.encoded == encoded + 1
        assert len({id(answer.changed[0]) for answer in answers}) == 1


async def test_engine_that_stops(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    """When the engine ends, parked callers get an empty answer instead of spinning."""
    answers: list[Any] = []
    async with running(MemoryStore()) as catalog:
        resources = Resources(catalog, FACTS)

        async def follow() -> None:
            version = resources.get("roots").version
            answers.append(await resources.answer(wanting(("roots", version), wait_s=60)))

        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert [answer.changed for answer in answers] == [()]
    await follow()
    assert len(answers) == 2


def test_refused_requests() -> None:
    """Too many wants, one twice, or one that cannot be."""
    for request, named in (
        (wanting(*((f"chain/s{i}", "") for i in range(MAX_WANTS + 1))), "at most"),
        (wanting(("roots", ""), ("roots", "x")), "twice"),
        (wanting(("kv/secret", "")), "kv/secret"),
    ):
        with pytest.raises(SyncRefusedError, match=named):
            check_sync_request(request)
    check_sync_request(wanting(*((f"chain/s{i}", "") for i in range(MAX_WANTS))))
    with pytest.raises(UnknownResourceError):
        Resources(Still(), FACTS).get("kv/secret")


def test_answer_travels() -> None:
    """An answer is JSON with the bodies as they are, and its values decode as the model's."""
    resource = Resources(Still(), FACTS).get("intentions/web")
    encoded = msgspec.json.encode(resource)
    assert (
        msgspec.json.decode(msgspec.json.decode(encoded, type=type(resource)).body, type=IntentionSet).service == "web"
    )
