"""The operator may all, nobody may nothing, and a refusal says who lacks what."""

from catalog.access.authorizer import EVERYTHING, NOTHING, Access, Resource, refusal_text


def test_the_operator_may_all_and_nobody_may_nothing() -> None:
    """For every resource and access, by name and by prefix."""
    for resource in Resource:
        for access in Access:
            assert EVERYTHING.allows(resource, "x", access)
            assert EVERYTHING.allows_all(resource, "", access)
            assert not NOTHING.allows(resource, "x", access)
            assert not NOTHING.allows_all(resource, "", access)


def test_a_refusal_is_in_consuls_words() -> None:
    """It names the lacking permission and the subject, and no secret."""
    text = refusal_text(NOTHING, Resource.KEY, "a/b", Access.WRITE)
    assert text == "Permission denied: nobody lacks permission 'key:write' on \"a/b\""
    assert refusal_text(NOTHING, Resource.OPERATOR, "", Access.READ).endswith("lacks permission 'operator:read'")
