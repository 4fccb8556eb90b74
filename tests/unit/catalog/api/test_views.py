"""Who sees a part is told an index that moves with that part alone."""

import msgspec

from catalog.access.authorizer import EVERYTHING, NOTHING
from catalog.api.views import Views
from tests.fakes.catalog_calls import make_call


def ask(query: str = "", target: str = "/v1/catalog/nodes"):  # type: ignore[no-untyped-def]
    return msgspec.structs.replace(make_call(query=query), authorizer=NOTHING, target=target)


def test_the_same_answer_has_the_same_index() -> None:
    views = Views()
    assert views.index(ask(), ["a"], 5) == 5
    assert views.index(ask(), ["a"], 9) == 5
    assert views.index(ask("index=5&wait=1s&token=x"), ["a"], 9) == 5
    assert views.index(ask(), ["a", "b"], 11) == 11
    assert views.index(ask(), ["a"], 12) == 12


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


def test_a_remembered_index_is_never_above_that_of_the_state() -> None:
    """It would let its caller wait for what is there already."""
    views = Views()
    views.index(ask(), ["a"], 9)
    assert views.index(ask(), ["a"], 4) == 4


def test_what_is_remembered_is_bounded() -> None:
    views = Views(kept=2)
    for number in range(5):
        views.index(ask(f"tag={number}"), [], number)
    assert len(views) == 2
    assert views.index(ask("tag=4"), [], 9) == 4
    assert views.index(ask("tag=0"), [], 9) == 9
