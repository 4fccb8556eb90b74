"""Web tokens: signed by a key of the method, for us, now; everything else proves nothing."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from catalog.access.login.identity import ProofError
from catalog.access.login.web_token import MethodError, prove, read_jwt_config

NOW = 1_700_000_000.0
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
CLAIMS: dict[str, Any] = {"iss": "me", "aud": ["them", "us"], "sub": "web", "exp": int(NOW) + 60}


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def config(**fields: Any) -> dict[str, Any]:
    keys = {} if "JWKS" in fields else {"JWTValidationPubKeys": [pem(OTHER), pem(RSA)]}
    return {**keys, "BoundIssuer": "me", "BoundAudiences": ["us"], "ClaimMappings": {"sub": "name"}, **fields}


def token(claims: Mapping[str, Any] = CLAIMS, key: Any = RSA, algorithm: str = "RS256", **headers: Any) -> str:
    return jwt.encode(dict(claims), key, algorithm, headers=headers)


def test_a_token_says_who_its_holder_is() -> None:
    mappings = {"ClaimMappings": {"sub": "name", "/deep/er": "deep", "no": "no"}, "ListClaimMappings": {"groups": "g"}}
    claims = {**CLAIMS, "deep": {"er": True}, "groups": ["a", 1, None]}
    identity = prove(read_jwt_config(config(**mappings)), token(claims), NOW)
    assert identity.fields == {"value": {"name": "web", "deep": "true", "no": ""}, "list": {"g": ["a", "1"]}}
    assert identity.variables == {"value.name": "web", "value.deep": "true", "value.no": ""}


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "PS256"), (RSA, "RS512"), (EC, "ES256"), (EDWARDS, "EdDSA")])
def test_other_signatures_where_the_method_names_them(key: Any, algorithm: str) -> None:
    named = read_jwt_config(config(JWTValidationPubKeys=[pem(key)], JWTSupportedAlgs=[algorithm]))
    assert prove(named, token(key=key, algorithm=algorithm), NOW).variables["value.name"] == "web"
    with pytest.raises(ProofError, match="does not take"):
        prove(read_jwt_config(config()), token(key=key, algorithm=algorithm), NOW)


def test_keys_may_stand_in_a_document() -> None:
    """Chosen by their id where the token names one."""
    entry = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key()))
    other = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER.public_key()))
    read = read_jwt_config(config(JWKS={"keys": [{**other, "kid": "1"}, {**entry, "kid": "2"}]}))
    assert prove(read, token(kid="2"), NOW)
    assert prove(read, token(), NOW)
    with pytest.raises(ProofError, match="no key"):
        prove(read, token(kid="1"), NOW)


@pytest.mark.parametrize(
    ("claims", "ok"),
    [
        ({}, True),
        ({"exp": NOW - 59}, True),
        ({"exp": NOW - 61}, False),
        ({"nbf": NOW + 59}, True),
        ({"nbf": NOW + 61}, False),
        ({"iat": NOW + 61}, False),
        ({"exp": None}, False),
        ({"exp": None, "iat": NOW - 200}, True),
        ({"exp": None, "iat": NOW - 211}, False),
        ({"exp": "soon"}, False),
        ({"exp": True}, False),
        ({"exp": 1e30}, False),
        ({"iss": "you"}, False),
        ({"iss": None}, False),
        ({"aud": "us"}, True),
        ({"aud": "them"}, False),
        ({"aud": []}, False),
        ({"aud": {"us": 1}}, False),
        ({"aud": None}, False),
    ],
)
def test_whose_when_and_for_whom(claims: dict[str, Any], ok: bool) -> None:
    merged = {key: value for key, value in {**CLAIMS, **claims}.items() if value is not None}
    text = jwt.PyJWS().encode(json.dumps(merged).encode(), RSA, "RS256")
    if ok:
        prove(read_jwt_config(config()), text, NOW)
    else:
        with pytest.raises(ProofError):
            prove(read_jwt_config(config()), text, NOW)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x.y.z",
        "é.é.é",
        f"{part({'alg': 'none'})}.{part(CLAIMS)}.",
        f"{part({'alg': 'RS256'})}.{part(CLAIMS)}.",
        f"{part({'alg': ['RS256']})}.{part(CLAIMS)}.x",
        token(key=rsa.generate_private_key(65537, 2048)),
        token()[:-4] + "AAAA",
        "a" * 20_000,
        jwt.encode(CLAIMS, "k" * 64, "HS256"),
        jwt.PyJWS().encode(b"[]", RSA, "RS256"),
        jwt.PyJWS().encode(b"[" * 100_000, RSA, "RS256")[:16_000],
    ],
)
def test_what_proves_nothing(text: str) -> None:
    """Unsigned, signed with a password, by another key, or no token at all."""
    with pytest.raises(ProofError):
        prove(read_jwt_config(config()), text, NOW)


def test_a_public_key_is_no_password() -> None:
    """The old trick: HS256 with the public key's text as the secret."""
    import hashlib
    import hmac

    head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(CLAIMS)}"
    mac = hmac.new(pem(RSA).encode(), head.encode(), hashlib.sha256).digest()
    forged = f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    with pytest.raises(ProofError):
        prove(read_jwt_config(config()), forged, NOW)
    with pytest.raises(MethodError, match="HS256"):
        read_jwt_config(config(JWTSupportedAlgs=["HS256"]))


@pytest.mark.parametrize(
    "fields",
    [
        {"JWTValidationPubKeys": []},
        {"JWTValidationPubKeys": ["x"]},
        {"JWTValidationPubKeys": [pem(RSA)] * 65},
        {"JWTValidationPubKeys": [1]},
        {"JWKS": {}},
        {"JWKS": {"keys": []}},
        {"JWKS": {"keys": "x"}},
        {"JWKS": {"keys": [{"kty": "oct", "k": "x"}]}},
        {"JWKS": {"keys": [{"kty": "RSA"}]}},
        {"JWKS": {"keys": ["x"]}},
        {"JWKSURL": "https://example.org/"},
        {"OIDCDiscoveryURL": "https://example.org/"},
        {"JWTSupportedAlgs": ["none"]},
        {"ClaimMappings": {"a": "x", "b": "x"}},
        {"ClaimMappings": ["a"]},
        {"ClockSkewLeeway": "soon"},
        {"Colour": "red"},
    ],
)
def test_what_no_method_is(fields: dict[str, Any]) -> None:
    with pytest.raises(MethodError):
        read_jwt_config({**config(), **fields} if "JWKS" not in fields else config(**fields))


READ = read_jwt_config(config())


@given(st.text(max_size=80) | st.from_regex(r"[\w\-]{0,30}\.[\w\-]{0,30}\.[\w\-]{0,30}", fullmatch=True))
def test_any_text_is_a_proof_or_none(text: str) -> None:
    with pytest.raises(ProofError):
        prove(READ, text, NOW)


@given(
    st.dictionaries(
        st.sampled_from(["exp", "iat", "nbf", "iss", "aud", "sub"]),
        st.none()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=3)
        | st.lists(st.text(max_size=3), max_size=2),
    )
)
def test_any_signed_claims_are_a_proof_or_none(claims: dict[str, Any]) -> None:
    text = jwt.PyJWS().encode(json.dumps(claims).encode(), RSA, "RS256")
    try:
        prove(READ, text, NOW)
    except ProofError as error:
        assert str(error)
