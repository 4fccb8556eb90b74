"""Login and logout: a token for a proof, with what the rules give; refused without a word why."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
CONFIG = {"JWTValidationPubKeys": [PEM], "ClaimMappings": {"sub": "name"}, "BoundAudiences": ["us"]}


def proof(**claims: Any) -> str:
    return jwt.encode({"sub": "web", "aud": "us", "iat": 1_700_000_000, "exp": 4_000_000_000, **claims}, KEY, "RS256")


async def login(acl: Any, bearer: str, method: str = "m", **fields: Any) -> Any:
    body = {"AuthMethod": method, "BearerToken": bearer, **fields}
    return await acl("POST", "login", body, token="")


async def rule(acl: Any, bind_type: str, bind_name: str, selector: str = "", **fields: Any) -> Any:
    body = {"AuthMethod": "m", "BindType": bind_type, "BindName": bind_name, "Selector": selector, **fields}
    return await acl.made("binding-rule", **body)


async def test_a_proof_gets_a_token_and_logout_ends_it(acl: Any) -> None:
    await acl.made("auth-method", Name="m", Type="jwt", Config=CONFIG, MaxTokenTTL="10m")
    await rule(acl, "service", "${value.name}")
    await acl.made("role", Name="reader", Policies=[{"Name": "builtin/global-read-only"}])
    await rule(acl, "role", "reader", 'value.name == "web"')
    await rule(acl, "policy", "not-there")
    made = await login(acl, proof(), Meta={"pod": "p1"})
    token = made.json()
    assert made.status_code == 200, made.text
    assert token["ServiceIdentities"] == [{"ServiceName": "web"}]
    assert [one["Name"] for one in token["Roles"]] == ["reader"]
    assert "Policies" not in token
    assert (token["AuthMethod"], token["Local"]) == ("m", True)
    assert token["Description"] == 'token created via login: {"pod":"p1"}'
    assert token["ExpirationTime"]
    assert (await acl("GET", "tokens", token=token["SecretID"])).status_code == 200
    assert (await acl("POST", "logout", token=token["SecretID"])).text == "true"
    assert (await acl("GET", "token/self", token=token["SecretID"])).status_code == 403


@pytest.mark.parametrize(
    "bearer", [proof(aud="them"), proof(exp=1), proof(sub="no good"), proof()[:-5], "x", proof(sub="nobody")]
)
async def test_a_refusal_says_nothing(acl: Any, bearer: str) -> None:
    """Neither which part was wrong, nor whether a rule would have held."""
    await acl.made("auth-method", Name="m", Type="jwt", Config=CONFIG)
    await rule(acl, "service", "${value.name}", 'value.name != "nobody"')
    answer = await login(acl, bearer)
    assert (answer.status_code, answer.text) == (403, "Permission denied")


async def test_what_is_no_login(acl: Any) -> None:
    unknown = await login(acl, "x", "does-not-exist")
    assert (unknown.status_code, "ACL not found" in unknown.text) == (403, True)
    assert (await login(acl, "")).status_code == 400
    assert (await login(acl, "x", Meta={str(number): "x" for number in range(65)})).status_code == 400


async def test_only_a_login_is_logged_out(acl: Any) -> None:
    made = await acl.made("token")
    for token in ("", "anonymous", made["SecretID"], "00000000-0000-0000-0000-0000000000ff", acl.site.operator_token):
        assert (await acl("POST", "logout", token=token)).status_code == 403
    assert (await acl("GET", "token/self", token=made["SecretID"])).status_code == 200


async def test_tokens_go_with_their_method(acl: Any) -> None:
    await acl.made("auth-method", Name="m", Type="jwt", Config=CONFIG)
    await rule(acl, "service", "web")
    token = (await login(acl, proof())).json()["SecretID"]
    assert (await acl("GET", "token/self", token=token)).status_code == 200
    assert (await acl("DELETE", "auth-method/m")).text == "true"
    assert (await acl("GET", "token/self", token=token)).status_code == 403
    assert (await acl("GET", "binding-rules")).json() == []
