"""Binding rules: their life; one that could never work is refused when it is written."""

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
RULE = {"AuthMethod": "m", "BindType": "service", "BindName": "web", "Selector": 'value.iss=="me"'}


@pytest.fixture
async def methods(acl: Any) -> Any:
    config = {"JWTValidationPubKeys": [PEM], "ClaimMappings": {"sub": "name"}}
    await acl.made("auth-method", Name="m", Type="jwt", Config=config)
    kubernetes = {"Host": "https://k8s", "CACert": "x", "ServiceAccountJWT": "y"}
    await acl.made("auth-method", Name="k", Type="kubernetes", Config=kubernetes)
    return acl


async def test_a_rules_life(methods: Any) -> None:
    made = await methods.made("binding-rule", **RULE)
    path = f"binding-rule/{made['ID']}"
    assert (await methods("GET", path)).json() == made
    changed = await methods.made(path, **{**made, "Description": "d", "BindName": "${value.name}"})
    assert (changed["Description"], changed["BindName"]) == ("d", "${value.name}")
    kube = {"AuthMethod": "k", "BindType": "service", "BindName": "${serviceaccount.name}"}
    await methods.made("binding-rule", **kube, Selector='serviceaccount.name!="default"')
    assert len((await methods("GET", "binding-rules")).json()) == 2
    assert [one["ID"] for one in (await methods("GET", "binding-rules?authmethod=m")).json()] == [made["ID"]]
    assert (await methods("DELETE", path)).text == "true"
    assert (await methods("GET", path)).status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"AuthMethod": "none"},
        {"AuthMethod": ""},
        {"BindType": "planet"},
        {"BindName": "${value.other}"},
        {"Selector": "nonsense =="},
        {"ID": "x"},
        {"BindVars": {"Name": "x"}},
    ],
)
async def test_what_no_rule_is(methods: Any, fields: dict[str, Any]) -> None:
    assert (await methods("PUT", "binding-rule", {**RULE, **fields})).status_code == 500


async def test_a_template_takes_its_name_from_the_proof(methods: Any) -> None:
    body = {
        **RULE,
        "BindType": "templated-policy",
        "BindName": "builtin/service",
        "BindVars": {"Name": "${value.name}"},
    }
    assert (await methods.made("binding-rule", **body))["BindVars"] == {"name": "${value.name}"}


async def test_the_method_stays(methods: Any) -> None:
    made = await methods.made("binding-rule", **RULE)
    assert (await methods("PUT", f"binding-rule/{made['ID']}", {**RULE, "AuthMethod": "k"})).status_code == 500
