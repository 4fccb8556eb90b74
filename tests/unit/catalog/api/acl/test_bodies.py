"""Bodies: durations as Go writes them, links and identities as values."""

import pytest

from catalog.access.acl.model import TemplatedPolicy
from catalog.api.acl.bodies import TokenBody, duration_of
from catalog.api.http.body import decode
from catalog.api.http.errors import BadRequestError


@pytest.mark.parametrize(
    ("value", "seconds"), [("", 0), (None, 0), (0, 0), ("10m", 600), (5_000_000_000, 5), ("0s", 0)]
)
def test_durations(value: object, seconds: float) -> None:
    assert duration_of(value, "TTL").seconds == seconds


@pytest.mark.parametrize("value", ["x", True, 1.5, ["1s"], {"a": 1}])
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(BadRequestError, match='field "TTL"'):
        duration_of(value, "TTL")


def test_keys_are_matched_in_any_case_and_unknown_ones_are_refused() -> None:
    body = decode(b'{"templatedpolicies": [{"TemplateName": "t", "TemplateVariables": {"name": "web"}}]}', TokenBody)
    assert body.templates() == (TemplatedPolicy("t", "web"),)
    with pytest.raises(BadRequestError, match="Colour"):
        decode(b'{"Colour": 1}', TokenBody)
