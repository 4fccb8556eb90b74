"""Who sees a part is told an index that moves with that part alone."""

import msgspec

from catalog.access.authorizer import EVERYTHING, NOTHING
from catalog.api.views import Views
from tests.fakes.catalog_calls import make_call


def ask(query: str = "", target: str = "/v1/catalog/nodes"):  # type: ignore[no-untyped-def]
    return msgspec.structs.replace(make_call(query=query), authorizer=NOTHING, target=target)


def test_the_same_answer_has_the_same_index() -> None:
    views = Views()
    assert views.index(ask(), ["a"], 5) == 1
    assert views.index(ask(), ["a"], 9) == 1
    assert views.index(ask("index=1&wait=1s&token=x"), ["a"], 9) == 1
    assert views.index(ask(), ["a", "b"], 11) == 11
    assert views.index(ask(), ["a", "b"], 12) == 11
    assert views.index(ask(), ["a"], 13) == 13


def test_a_question_that_is_new_is_answered_without_the_index_of_the_table() -> None:
    """Whoever makes up a question, or an index, reads nothing from what he is told."""
    for query, told in (("x=1", 1), ("index=1", 2), ("index=7&x=2", 8), (f"index={2**63 - 1}", 1)):
        assert [Views().index(ask(query), ["a"], table) for table in (5, 500)] == [told, told]


def test_who_was_told_more_than_is_remembered_is_answered_at_once() -> None:
    """By a catalog that has started since: he may have missed something. After that he waits like others."""
    views = Views()
    assert views.index(ask(), ["a"], 9) == 1
    assert views.index(ask("index=50"), ["a"], 9) == 51
    assert views.index(ask("index=51"), ["a"], 9) == 51
    assert views.index(ask("index=51"), ["b"], 10) == 52


def test_questions_and_callers_are_kept_apart() -> None:
    views = Views()
    for call in (
        ask(),
        ask("tag=x"),
        ask(target="/v1/catalog/services"),
        msgspec.structs.replace(ask(), authorizer=EVERYTHING),
    ):
        views.index(call, [], len(views))
    assert len(views) == 4


def test_another_answer_has_a_higher_index_whatever_the_state_says() -> None:
    """Else its caller would wait for what is there already."""
    views = Views()
    views.index(ask(), ["a"], 9)
    views.index(ask("index=9"), ["b"], 9)
    assert views.index(ask("index=10"), ["a"], 4) == 11
    assert views.index(ask("index=30"), ["c"], 30) == 31


def test_what_is_remembered_is_bounded() -> None:
    views = Views(kept=2)
    for number in range(5):
        views.index(ask(f"tag={number}"), [], number)
    assert len(views) == 2
    assert views.index(ask("tag=4&index=1"), [], 9) == 1
    assert views.index(ask("tag=0&index=1"), [], 9) == 2
