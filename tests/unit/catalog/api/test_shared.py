"""Shared answers: made once for equal rights and an equal question, forgotten at the next change."""

from typing import Any

import msgspec
import pytest

from catalog.access.acl.permissions import Permissions
from catalog.access.callers import Caller, CallerKind
from catalog.api.blocking import Found, answer_read
from catalog.api.http.errors import RefusedError
from catalog.api.shared import KEPT, KEPT_BYTES, SharedAnswers, key_of
from catalog.state.changes import Register
from catalog.state.index import Topic
from catalog.state.records import Node
from catalog.state.state import State
from tests.fakes.catalog_calls import make_call, mighty, open_api

TOPIC: Topic = ("nodes",)


class Reads:
    """A read that counts itself."""

    def __init__(self, *, partial: bool = False) -> None:
        self.count = 0
        self._partial = partial

    def __call__(self, state: State) -> Found:
        self.count += 1
        return Found([{"Node": node.node} for node in state.nodes()], (TOPIC,), partial=self._partial)


def register(name: str) -> Register:
    return Register(Node(name, "192.0.2.1"))


async def answered(api: Any, read: Reads, query: str = "", call: Any = None) -> Any:
    answer = await answer_read(api.parking, call or mighty(make_call(query=query)), read, subject=TOPIC)
    return msgspec.json.decode(answer.body)


async def test_what_nothing_changed_is_read_and_encoded_once() -> None:
    """The same bytes go to all who ask; a change is seen by the next who asks."""
    async with open_api() as api:
        read = Reads()
        await api.submit(register("n1"))
        bodies = [(await answer_read(api.parking, mighty(make_call()), read, subject=TOPIC)).body for _ in range(3)]
        assert bodies[0] is bodies[1] is bodies[2]
        assert read.count == 1
        await api.submit(register("n2"))
        assert await answered(api, read) == [{"Node": "n1"}, {"Node": "n2"}]
        assert read.count == 2


async def test_headers_are_of_each_call() -> None:
    """What is said about how it was read is not shared: only the body is."""
    async with open_api() as api:
        read = Reads()
        first = await answer_read(api.parking, mighty(make_call()), read, subject=TOPIC)
        stale = await answer_read(api.parking, mighty(make_call(query="stale")), read, subject=TOPIC)
        assert read.count == 1
        assert (b"x-consul-effective-consistency", b"leader") in first.headers
        assert (b"x-consul-effective-consistency", b"stale") in stale.headers


@pytest.mark.parametrize("query", ["filter=Node==n1", "near=n1", "tag=a", "pretty", "node-meta=a:b", "passing"])
async def test_another_question_has_another_answer(query: str) -> None:
    """Whatever changes what is answered is part of the question."""
    base, other = mighty(make_call()), mighty(make_call(query=query))
    assert key_of(base, TOPIC) != key_of(other, TOPIC)
    assert key_of(base, TOPIC) != key_of(base, ("services",))


async def test_how_long_one_waits_is_no_part_of_the_question() -> None:
    assert key_of(mighty(make_call()), TOPIC) == key_of(mighty(make_call(query="index=7&wait=5s&token=x")), TOPIC)


async def test_a_filter_that_cannot_be_read_is_refused_each_time() -> None:
    async with open_api() as api:
        for _ in range(2):
            with pytest.raises(RefusedError):
                await answered(api, Reads(), "filter=%28")


async def test_nobody_gets_what_anothers_rights_made() -> None:
    """Answers are kept under the very rights they were made with."""
    async with open_api() as api:
        read = Reads()
        holder = Caller(CallerKind.TOKEN, "a")
        for rights in (Permissions(()), Permissions(())):
            call = msgspec.structs.replace(make_call(caller=holder), authorizer=rights)
            await answered(api, read, call=call)
        await answered(api, read)
        assert read.count == 3


async def test_rights_that_are_made_for_each_call_share_nothing() -> None:
    """A certificate's holder: its rights are another object each time, so that keeping would only cost."""
    call = make_call(caller=Caller(CallerKind.NODE, "n1"))
    assert key_of(call, TOPIC) is None
    async with open_api() as api:
        read = Reads()
        await answered(api, read, call=call)
        await answered(api, read, call=call)
        assert (read.count, len(api.parking.shared)) == (2, 0)


async def test_a_part_is_never_shared() -> None:
    """The index of a partial answer is its caller's own."""
    async with open_api() as api:
        read = Reads(partial=True)
        await answered(api, read)
        await answered(api, read)
        assert (read.count, len(api.parking.shared)) == (2, 0)


def test_no_more_is_kept_than_the_bounds() -> None:
    """Many questions, or large bodies, between two changes."""
    shared, state, found = SharedAnswers(), State(), Found([], ())
    for number in range(KEPT + 10):
        shared.keep(number, state, found)
    assert len(shared) <= KEPT
    first, second = shared.keep("a", state, found), shared.keep("b", state, found)
    shared.keep_body(first, b"x" * KEPT_BYTES)
    shared.keep_body(second, b"y")
    assert (first.body is None, second.body) == (False, None)
