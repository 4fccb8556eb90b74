"""The book: what is asked of the catalog for all proxies together, and what each of them is told."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.vm.relay.book import FORGET_AFTER_S, Book, TooManyWantsError, decode_request
from mesh.wire.sync import MAX_WANTS, Refusal, Resource, SyncRequest, SyncResponse, Want


def resource(name: str, version: str = "1") -> Resource:
    return Resource(name, version, msgspec.Raw(b"{}"))


def asks(*names: str, version: str = "", wait_s: float = 0.0) -> SyncRequest:
    return SyncRequest(tuple(Want(name, version) for name in names), wait_s)


def answered(book: Book, *resources: Resource, removed: tuple[str, ...] = (), index: int = 7) -> set[str]:
    return book.take(book.request(50), SyncResponse(index, resources, removed))


def test_the_catalog_is_asked_for_the_union_and_waits_only_when_nothing_is_new() -> None:
    """Two proxies, one call; roots and mesh always."""
    book = Book()
    assert book.want(asks("chain/a", "roots"), 0)
    assert book.want(asks("chain/b", "chain/a"), 0)
    assert not book.want(asks("chain/a"), 0)
    request = book.request(50)
    assert {want.name for want in request.wants} == {"roots", "mesh", "chain/a", "chain/b"}
    assert request.wait_s == 0
    answered(book, resource("chain/a"))
    assert book.request(50).wait_s == 50
    assert Want("chain/a", "1") in book.request(50).wants


def test_a_proxy_is_told_what_changed_since_its_version() -> None:
    """Nothing for what it has, everything for what it has not."""
    book = Book()
    book.want(asks("chain/a", "chain/b"), 0)
    assert book.answer(asks("chain/a")) is None
    assert answered(book, resource("chain/a", "2"), resource("chain/b")) == {"chain/a", "chain/b", "roots", "mesh"}
    told = book.answer(asks("chain/a", "chain/b", version="1"))
    assert told is not None
    assert ([one.name for one in told.changed], told.removed, told.index) == (["chain/a"], (), 7)
    assert book.answer(asks("chain/a", version="2")) is None


def test_no_answer_before_the_catalog_was_asked_for_all() -> None:
    """A proxy takes an answer for a word on everything it named; `partial` is for an outage."""
    book = Book()
    book.want(asks("chain/a", "endpoints/a"), 0)
    book.take(SyncRequest((Want("chain/a"),)), SyncResponse(1, (resource("chain/a"),)))
    assert book.answer(asks("chain/a", "endpoints/a")) is None
    partial = book.answer(asks("chain/a", "endpoints/a"), partial=True)
    assert partial is not None
    assert [one.name for one in partial.changed] == ["chain/a"]


def test_removals_are_passed_on_to_who_has_it() -> None:
    """Only to a proxy that holds a version; roots and mesh never go."""
    book = Book()
    book.want(asks("chain/a"), 0)
    answered(book, resource("chain/a"), resource("roots"))
    assert answered(book, removed=("chain/a", "roots")) == {"chain/a"}
    told = book.answer(asks("chain/a", version="1"))
    assert told is not None
    assert told.removed == ("chain/a",)
    assert book.answer(asks("chain/a")) is None
    assert book.held("roots") is not None


def test_what_was_restored_is_served_before_the_catalog_answers() -> None:
    """Static stability across a restart of the agent."""
    book = Book()
    book.restore([resource("chain/a", "9")], 0)
    told = book.answer(asks("chain/a"))
    assert told is not None
    assert told.changed[0].version == "9"
    assert Want("chain/a", "9") in book.request(50).wants


def test_what_nobody_follows_is_forgotten() -> None:
    """A proxy that is gone leaves nothing behind."""
    book = Book()
    book.want(asks("chain/a", "chain/b"), 0)
    answered(book, resource("chain/a"), resource("chain/b"))
    book.want(asks("chain/b"), FORGET_AFTER_S)
    book.forget(FORGET_AFTER_S + 1)
    assert {want.name for want in book.request(50).wants} == {"roots", "mesh", "chain/b"}
    assert book.held("chain/a") is None


def test_the_union_is_bounded_and_old_wants_make_room() -> None:
    """A greedy host is refused, but names that no proxy holds any more do not count."""
    book = Book()
    book.want(asks(*(f"chain/s{n}" for n in range(MAX_WANTS - 2))), 0)
    with pytest.raises(TooManyWantsError):
        book.want(asks("chain/more"), 0)
    assert book.want(asks("chain/more"), 1)


def test_refusals_are_passed_on_once() -> None:
    """The catalog hears why a proxy cannot use a resource."""
    book = Book()
    refusal = Refusal("chain/a", "1", "bad")
    assert book.want(SyncRequest((Want("chain/a", "1"),), refused=(refusal,)), 0)
    request = book.request(50)
    assert request.refused == (refusal,)
    book.take(request, SyncResponse(1))
    assert not book.request(50).refused


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_the_proxys_error(data: bytes) -> None:
    """No input fails in any other way."""
    try:
        assert isinstance(decode_request(data), SyncRequest)
    except (msgspec.MsgspecError, TooManyWantsError, UnicodeDecodeError):
        return


def test_one_call_is_bounded() -> None:
    """More wants than the protocol allows are refused."""
    with pytest.raises(TooManyWantsError):
        decode_request(msgspec.json.encode(asks(*(f"chain/s{n}" for n in range(MAX_WANTS + 1)))))
