"""Secrets are remembered by a dev process alone, and never without bound."""

from catalog.access.acl.model import Token, secret_hash
from catalog.api.acl.secrets import KEPT, Secrets


def test_secrets_are_remembered_only_where_settings_say_so() -> None:
    token = Token("a", secret_hash("s"))
    for reveal, shown in ((False, "<hidden>"), (True, "s")):
        secrets = Secrets(reveal=reveal)
        secrets.remember(token, "s")
        assert secrets.recall(token) == shown


def test_the_oldest_is_forgotten() -> None:
    secrets = Secrets(reveal=True)
    for number in range(KEPT + 1):
        secrets.remember(Token(str(number), str(number)), "s")
    assert secrets.recall(Token("0", "0")) == "<hidden>"
    assert secrets.recall(Token("1", "1")) == "s"
