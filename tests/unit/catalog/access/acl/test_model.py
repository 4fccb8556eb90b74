"""What is kept: no secret, and what is written is read."""

from catalog.access.acl.model import ROLES, Rights, Role, Token, content_hash, read_kept, secret_hash, write_kept
from catalog.state.records import Record


def test_what_is_written_is_read() -> None:
    role = Role("1", "r", rights=Rights(policies=("p",)))
    assert read_kept(Record(ROLES, "1", write_kept(role)), Role) == role


def test_what_cannot_be_read_is_nothing() -> None:
    assert read_kept(None, Role) is None
    assert read_kept(Record(ROLES, "1", b"x"), Role) is None


def test_no_secret_is_kept() -> None:
    token = Token("a", secret_hash("s3cret"))
    assert b"s3cret" not in write_kept(token)


def test_a_token_is_over_at_its_time() -> None:
    assert not Token("a", "").is_over(1e12)
    assert Token("a", "", expires_s=10.0).is_over(10.0)
    assert not Token("a", "", expires_s=10.0).is_over(9.9)


def test_the_hash_differs_with_the_content() -> None:
    assert content_hash(Role("1", "a")) != content_hash(Role("1", "b"))
    assert content_hash(Role("1", "a")) == content_hash(Role("1", "a"))
