"""Attacks on auth methods: web tokens that prove nothing, claims that would be more than names, logins that outlive their method."""

import json
import time
from typing import Any

import httpx2
import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalog.access.kubernetes import Cluster
from catalog.api.token_review import KubernetesJoin
from tests.conformance.access.acting import operate
from tests.fakes.catalog_site import Site, open_site

KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ISSUER, AUDIENCE = "https://issuer.example", "linkspan"


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says, with changes; None takes one out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "iat": now, "name": "web"}
    return {name: value for name, value in (good | changed).items() if value is not None}


def jwk(key: Any, kid: str) -> dict[str, Any]:
    """A public key as a JWKS has it."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    made: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {**made, "kid": kid}


async def offer(site: Site, config: dict[str, Any], **rule: Any) -> None:
    """A method `m` with this configuration, and a rule that gives whoever it proves the service of its name."""
    config = {"BoundIssuer": ISSUER, "BoundAudiences": [AUDIENCE], "ClaimMappings": {"name": "name"}, **config}
    await operate(site, "PUT", "acl/auth-method", {"Name": "m", "Type": "jwt", "Config": config})
    body = {"AuthMethod": "m", "BindType": "service", "BindName": "${value.name}", **rule}
    await operate(site, "PUT", "acl/binding-rule", body)


async def log_in(site: Site, proof: str) -> httpx2.Response:
    return await site.request("POST", "/v1/acl/login", {"AuthMethod": "m", "BearerToken": proof})


def unsigned(algorithm: str, changed: dict[str, Any]) -> str:
    """A token that says `algorithm` and has no signature."""
    made = jwt.encode(changed, "", algorithm="none").split(".")
    head = jwt.utils.base64url_encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).decode()
    return f"{head}.{made[1]}."


def with_public_key_as_password(changed: dict[str, Any]) -> str:
    """Signed by HS256 with the PEM that everybody may read; by hand, since the library refuses to."""
    import hashlib
    import hmac

    encode = jwt.utils.base64url_encode
    text = b".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, changed))
    return (text + b"." + encode(hmac.digest(PEM.encode(), text, hashlib.sha256))).decode()


async def test_what_proves_nothing_opens_nothing(guarded: Site) -> None:
    """Every answer is the same 403, and no token is made."""
    await offer(guarded, {"JWTValidationPubKeys": [PEM]})
    now = int(time.time())
    good = jwt.encode(claims(), KEY, algorithm="RS256")
    head, body, signature = good.split(".")
    bad: dict[str, str] = {
        "none": unsigned("none", claims()),
        "None": unsigned("None", claims()),
        "RS256 unsigned": unsigned("RS256", claims()),
        "HS256": with_public_key_as_password(claims()),
        "another key": jwt.encode(claims(), OTHER, algorithm="RS256"),
        "another kid": jwt.encode(claims(), OTHER, algorithm="RS256", headers={"kid": "x"}),
        "own key in the head": jwt.encode(claims(), OTHER, algorithm="RS256", headers={"jwk": jwk(OTHER, "x")}),
        "RS512, not named": jwt.encode(claims(), KEY, algorithm="RS512"),
        "expired": jwt.encode(claims(exp=now - 61, iat=now - 400), KEY, algorithm="RS256"),
        "not yet": jwt.encode(claims(nbf=now + 70), KEY, algorithm="RS256"),
        "issued later": jwt.encode(claims(iat=now + 70), KEY, algorithm="RS256"),
        "no time": jwt.encode(claims(exp=None, iat=None), KEY, algorithm="RS256"),
        "no audience": jwt.encode(claims(aud=None), KEY, algorithm="RS256"),
        "another audience": jwt.encode(claims(aud=["x", "linkspan2"]), KEY, algorithm="RS256"),
        "no issuer": jwt.encode(claims(iss=None), KEY, algorithm="RS256"),
        "issuer with a slash": jwt.encode(claims(iss=ISSUER + "/"), KEY, algorithm="RS256"),
        "body of another": f"{head}.{jwt.encode(claims(name='db'), KEY, algorithm='RS256').split('.')[1]}.{signature}",
        "critical": jwt.encode(claims(), KEY, algorithm="RS256", headers={"crit": ["x"], "x": 1}),
        "text": "a.b.c",
        "nothing": "..",
        "long": f"{head}.{body * 200}.{signature}",
    }
    for what, proof in bad.items():
        answer = await log_in(guarded, proof)
        assert (answer.status_code, answer.text) == (403, "Permission denied"), (what, answer.text)
    assert guarded.engine.state.records("acl-tokens") == []
    for proof in (good, jwt.encode(claims(aud=["x", AUDIENCE]), KEY, algorithm="RS256")):
        assert (await log_in(guarded, proof)).status_code == 200


async def test_a_key_id_chooses_among_the_methods_keys_and_no_others(guarded: Site) -> None:
    """Of several keys each opens by its own id; one is not taken for another's."""
    keys = {"keys": [jwk(KEY, "a"), jwk(CURVE, "b")]}
    await offer(guarded, {"JWKS": keys, "JWTSupportedAlgs": ["RS256", "ES256"]})
    table = (
        (KEY, "RS256", "a", 200),
        (CURVE, "ES256", "b", 200),
        (KEY, "RS256", None, 200),
        (KEY, "RS256", "b", 403),
        (CURVE, "ES256", "a", 403),
        (OTHER, "RS256", "a", 403),
        (OTHER, "RS256", "../a", 403),
        (KEY, "PS256", "a", 403),
    )
    for key, algorithm, kid, status in table:
        headers = {"kid": kid} if kid else None
        answer = await log_in(guarded, jwt.encode(claims(), key, algorithm=algorithm, headers=headers))
        assert answer.status_code == status, (algorithm, kid, answer.text)


async def test_a_method_takes_no_private_key(guarded: Site) -> None:
    """It would be shown to whoever may read the method."""
    private = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY)), "kid": "a"}
    body = {"Name": "m", "Type": "jwt", "Config": {"JWKS": {"keys": [private]}}}
    answer = await guarded.put("/v1/acl/auth-method", body, headers=guarded.as_operator())
    assert (answer.status_code, "public" in answer.text) == (500, True), answer.text


@pytest.mark.parametrize(
    "name", ['x" { policy = "write" } key_prefix "', "*", "${value.name}", "WEB", "", "a b", "a\n"]
)
async def test_a_claim_is_a_name_and_no_more(guarded: Site, name: str) -> None:
    """What no service can be called gets nothing."""
    await offer(guarded, {"JWTValidationPubKeys": [PEM]})
    answer = await log_in(guarded, jwt.encode(claims(name=name), KEY, algorithm="RS256"))
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("name", ['x" or value.name != "', "x) or (1 == 1", 'web"', "web\\"])
async def test_a_claim_is_no_part_of_a_selector(guarded: Site, name: str) -> None:
    """Selectors compare with it and never read it."""
    await offer(guarded, {"JWTValidationPubKeys": [PEM]}, Selector='value.name == "admin"', BindName="fixed")
    answer = await log_in(guarded, jwt.encode(claims(name=name), KEY, algorithm="RS256"))
    assert answer.status_code == 403, answer.text
    assert (await log_in(guarded, jwt.encode(claims(name="admin"), KEY, algorithm="RS256"))).status_code == 200


async def test_no_login_outlives_a_method_that_goes_while_a_cluster_is_asked() -> None:
    """A review takes seconds: what it proves then is proven to nobody any more."""
    asked, answered = trio.Event(), trio.Event()

    class Slow:
        """Knows everybody, after a while."""

        async def review(self, token: str, audience: str) -> Any:
            asked.set()
            await answered.wait()
            user = {"username": "system:serviceaccount:default:web", "uid": "1"}
            return {"status": {"authenticated": True, "audiences": [audience], "user": user}}

    async with open_site(kubernetes=KubernetesJoin(Cluster("default"), Slow())) as site:
        await operate(site, "PUT", "acl/auth-method", {"Name": "m", "Type": "kubernetes", "Config": {}})
        rule = {"AuthMethod": "m", "BindType": "service", "BindName": "${serviceaccount.name}"}
        await operate(site, "PUT", "acl/binding-rule", rule)
        answers: list[httpx2.Response] = []

        async def attempt() -> None:
            answers.append(await log_in(site, "a.b.c"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempt)
            await asked.wait()
            await operate(site, "DELETE", "acl/auth-method/m")
            answered.set()
        assert answers[0].status_code == 403, answers[0].text
        assert site.engine.state.records("acl-tokens") == []


async def test_no_login_outlives_its_method(guarded: Site) -> None:
    """A method that is deleted takes its tokens with it, also those that are being made."""
    await offer(guarded, {"JWTValidationPubKeys": [PEM]})
    proof = jwt.encode(claims(), KEY, algorithm="RS256")
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(log_in, guarded, proof)
        nursery.start_soon(operate, guarded, "DELETE", "acl/auth-method/m")
        for _ in range(8):
            nursery.start_soon(log_in, guarded, proof)
    assert guarded.engine.state.records("acl-tokens") == []
