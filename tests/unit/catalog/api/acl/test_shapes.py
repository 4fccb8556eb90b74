"""What is printed: nothing empty, no hash of a secret, links by the names of now."""

from catalog.access.acl.model import AuthMethod, BindingRule, Rights, ServiceIdentity, TemplatedPolicy, Token
from catalog.api.acl.shapes import links_json, method_json, rights_json, rule_json, time_text, token_json


def test_what_is_empty_is_left_out() -> None:
    assert rights_json(Rights(), str, str) == {}
    assert rights_json(Rights(services=(ServiceIdentity("web"),), templates=(TemplatedPolicy("t"),)), str, str) == {
        "ServiceIdentities": [{"ServiceName": "web"}],
        "TemplatedPolicies": [{"TemplateName": "t"}],
    }
    assert "BindVars" not in rule_json(BindingRule("1", "m", "service", "web"), (1, 1))
    assert "MaxTokenTTL" not in method_json(AuthMethod("m", "jwt", config={"a": 1}), (1, 1))
    assert "Config" not in method_json(AuthMethod("m", "jwt", config={"a": 1}), (1, 1), with_config=False)


def test_a_token_shows_nothing_of_its_secret() -> None:
    """Not even in its `Hash`, which would let a guess be tried."""
    first, second = (token_json(Token("a", sha256), {}, (1, 2), "<hidden>") for sha256 in ("11", "22"))
    assert first == second
    assert (first["CreateIndex"], first["ModifyIndex"], first["Local"]) == (1, 2, False)
    over = token_json(Token("a", "", expires_s=1.0, ttl="10m0s", auth_method="m"), {}, (0, 0), "")
    assert (over["ExpirationTime"], over["ExpirationTTL"], over["AuthMethod"]) == (time_text(1.0), "10m0s", "m")


def test_links_to_what_is_gone_are_not_shown() -> None:
    assert links_json(("a", "b"), lambda one: "" if one == "a" else "B") == [{"ID": "b", "Name": "B"}]
