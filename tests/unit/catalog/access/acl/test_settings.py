"""Settings: a policy that is none is refused, and no secret is printed."""

import pytest

from catalog.access.acl.settings import AclSettings


def test_a_policy_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="write allow or deny"):
        AclSettings(default_policy="maybe")


def test_who_is_asked_for_a_token_is_not_the_operator_without_one() -> None:
    with pytest.raises(ValueError, match="everyone"):
        AclSettings(everyone=True)


def test_no_secret_is_printed() -> None:
    assert "s3cret" not in repr(AclSettings(initial_management="s3cret", agent="s3cret", default="s3cret"))
