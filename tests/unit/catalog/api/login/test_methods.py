"""Auth methods: their life, and what is never shown of them."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
JWT = {"Name": "m", "Type": "jwt", "Config": {"JWTValidationPubKeys": [PEM], "BoundIssuer": "i"}}
KUBERNETES = {
    "Name": "k",
    "Type": "kubernetes",
    "Config": {"Host": "https://k8s:6443", "CACert": "x", "ServiceAccountJWT": "s3cret"},
}


async def test_a_methods_life(acl: Any) -> None:
    made = await acl.made("auth-method", **JWT, MaxTokenTTL="5m", DisplayName="D")
    assert (made["Name"], made["Type"], made["MaxTokenTTL"]) == ("m", "jwt", "5m0s")
    assert (await acl("GET", "auth-method/m")).json() == made
    changed = await acl.made("auth-method/m", **{**made, "Description": "d"})
    assert (changed["Description"], changed["CreateIndex"]) == ("d", made["CreateIndex"])
    (one,) = (await acl("GET", "auth-methods")).json()
    assert (one["Name"], "Config" in one) == ("m", False)
    assert (await acl("DELETE", "auth-method/m")).text == "true"
    assert (await acl("GET", "auth-method/m")).status_code == 404
    assert (await acl("DELETE", "auth-method/m")).text == "true"


async def test_its_own_credential_is_never_shown_and_kept_by_a_change(acl: Any) -> None:
    made = await acl.made("auth-method", **KUBERNETES)
    assert made["Config"]["ServiceAccountJWT"] == "<hidden>"
    changed = await acl("PUT", "auth-method/k", {**made, "Description": "d"})
    assert (changed.status_code, "s3cret" in changed.text) == (200, False)
    assert b"s3cret" in acl.site.engine.state.record("acl-auth-methods", "k").value


@pytest.mark.parametrize(
    "body",
    [
        {**JWT, "Name": ""},
        {**JWT, "Type": "oidc"},
        {**JWT, "Config": {}},
        {**JWT, "MaxTokenTTL": "1s"},
        {**JWT, "TokenLocality": "moon"},
        {**JWT, "NamespaceRules": [{}]},
        {**JWT, "Config": {**JWT["Config"], "BoundIssuer": "x" * 200_000}},
        {"Name": "k", "Type": "kubernetes", "Config": {}},
        {"Name": "k", "Type": "kubernetes", "Config": {"Host": "http://k8s"}},
    ],
)
async def test_what_no_method_is(acl: Any, body: dict[str, Any]) -> None:
    assert (await acl("PUT", "auth-method", body)).status_code == 500


async def test_name_and_type_stay(acl: Any) -> None:
    await acl.made("auth-method", **JWT)
    assert (await acl("PUT", "auth-method", JWT)).status_code == 500
    for body in ({**JWT, "Name": "n"}, {**JWT, "Type": "kubernetes"}):
        assert (await acl("PUT", "auth-method/m", body)).status_code == 500
    assert (await acl("PUT", "auth-method/none", JWT)).status_code == 404
