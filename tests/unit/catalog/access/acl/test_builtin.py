"""The operator's token as others see it: by an accessor that stays, and says nothing of its secret."""

from catalog.access.acl.builtin import operator_token
from catalog.access.tokens import SECRET_BYTES, make_operator_token
from catalog.state.state import State


def test_the_operators_token_has_an_accessor_of_its_own() -> None:
    state = State()
    assert operator_token(state) is None
    text, change = make_operator_token(bytes(SECRET_BYTES))
    state.apply(change, 2, 0.0)
    token = operator_token(state)
    assert token == operator_token(state)
    assert token is not None
    assert text not in token.accessor
