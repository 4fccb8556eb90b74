"""Tokens: made, read, changed, cloned, deleted; secrets shown once."""

from typing import Any

import pytest

ACCESSOR = "00000000-DEAD-BEEF-0000-000000000000"
SECRET = "00000000-A5A5-0000-0000-000000000000"


async def test_a_secret_is_shown_when_it_is_made_and_to_its_holder(acl: Any) -> None:
    made = await acl.made("token", AccessorID=ACCESSOR, SecretID=SECRET, Description="d")
    assert (made["AccessorID"], made["SecretID"], made["Description"]) == (ACCESSOR, SECRET, "d")
    assert (await acl("GET", "token/self", token=SECRET)).json()["SecretID"] == SECRET
    assert (await acl("GET", f"token/{ACCESSOR.lower()}")).json()["SecretID"] == "<hidden>"
    listed = (await acl("GET", "tokens")).json()
    assert [one["SecretID"] for one in listed if one["AccessorID"] == ACCESSOR] == ["<hidden>"]
    assert SECRET.encode() not in acl.site.engine.state.encode()


async def test_the_list_has_the_built_in_ones_and_filters(acl: Any) -> None:
    policy = await acl.made("policy", Name="p")
    role = await acl.made("role", Name="r")
    by_policy = await acl.made("token", Policies=[{"ID": policy["ID"]}])
    by_role = await acl.made("token", Roles=[{"Name": "r"}])
    by_service = await acl.made("token", ServiceIdentities=[{"ServiceName": "web", "Datacenters": ["dc1"]}])
    descriptions = {one["Description"] for one in (await acl("GET", "tokens")).json()}
    assert {"Initial Management Token", "Anonymous Token"} <= descriptions
    for query, token in (
        (f"policy={policy['ID']}", by_policy),
        (f"role={role['ID']}", by_role),
        ("servicename=web", by_service),
    ):
        found = (await acl("GET", f"tokens?{query}")).json()
        assert [one["AccessorID"] for one in found] == [token["AccessorID"]]
    assert (await acl("GET", "tokens?authmethod=none")).json() == []


async def test_a_change_keeps_the_secret_and_the_life(acl: Any) -> None:
    made = await acl.made("token", Description="old", ExpirationTTL="10m")
    path = f"token/{made['AccessorID']}"
    changed = await acl.made(path, **{**made, "Description": "new", "SecretID": "<hidden>"})
    assert (changed["Description"], changed["ExpirationTime"]) == ("new", made["ExpirationTime"])
    assert (await acl("GET", "token/self", token=made["SecretID"])).json()["Description"] == "new"
    for wrong in ({"SecretID": SECRET}, {"AccessorID": ACCESSOR}):
        assert (await acl("PUT", path, wrong)).status_code == 500


async def test_a_clone_has_the_rights_and_a_secret_of_its_own(acl: Any) -> None:
    made = await acl.made("token", Policies=[{"Name": "builtin/global-read-only"}])
    clone = await acl.made(f"token/{made['AccessorID']}/clone", Description="cloned")
    assert clone["Policies"] == made["Policies"]
    assert clone["SecretID"] != made["SecretID"]
    assert (await acl("GET", "tokens", token=clone["SecretID"])).status_code == 200


async def test_a_deleted_token_opens_nothing(acl: Any) -> None:
    made = await acl.made("token")
    assert (await acl("DELETE", f"token/{made['AccessorID']}")).text == "true"
    assert (await acl("GET", "token/self", token=made["SecretID"])).status_code == 403
    again = await acl("GET", f"token/{made['AccessorID']}")
    assert (again.status_code, again.text) == (403, "token does not exist: ACL not found")


@pytest.mark.parametrize(
    "body",
    [
        {"AccessorID": "x"},
        {"SecretID": "short"},
        {"AccessorID": "00000000-0000-0000-0000-000000000002"},
        {"Policies": [{"Name": "no"}]},
        {"ExpirationTTL": "1s"},
        {"ExpirationTTL": "100h"},
        {"AuthMethod": "m"},
    ],
)
async def test_what_no_token_is_made_of(acl: Any, body: dict[str, Any]) -> None:
    assert (await acl("PUT", "token", body)).status_code == 500


async def test_taken_ids_are_refused(acl: Any) -> None:
    await acl.made("token", AccessorID=ACCESSOR, SecretID=SECRET)
    for body in ({"AccessorID": ACCESSOR.lower()}, {"SecretID": SECRET}):
        answer = await acl("PUT", "token", body)
        assert (answer.status_code, "already in use" in answer.text) == (500, True)


async def test_expanded_says_what_the_rights_are(acl: Any) -> None:
    await acl.made("policy", Name="p", Rules='operator = "read"')
    await acl.made("role", Name="r", Policies=[{"Name": "p"}])
    made = await acl.made("token", Roles=[{"Name": "r"}])
    shown = (await acl("GET", f"token/{made['AccessorID']}?expanded=true")).json()
    assert [one["Rules"] for one in shown["ExpandedPolicies"]] == ['operator = "read"']
    assert [one["Name"] for one in shown["ExpandedRoles"]] == ["r"]


async def test_the_built_in_tokens_stay(acl: Any) -> None:
    """The anonymous one may be given policies, and no more; the operator's cannot be touched here."""
    anonymous = "token/00000000-0000-0000-0000-000000000002"
    assert (await acl("DELETE", anonymous)).status_code == 500
    assert (await acl("PUT", f"{anonymous}/clone")).status_code == 500
    assert (await acl("GET", "token/self", token="")).json()["SecretID"] == "anonymous"
    given = await acl.made(anonymous, Policies=[{"Name": "builtin/global-read-only"}])
    assert given["SecretID"] == "anonymous"
    assert (await acl("GET", "tokens", token="")).status_code == 200
    operator = (await acl("GET", "token/self", token=acl.site.operator_token)).json()
    assert operator["SecretID"] == acl.site.operator_token
    path = f"token/{operator['AccessorID']}"
    assert (await acl("GET", path)).json()["SecretID"] == "<hidden>"
    assert (await acl("DELETE", path)).status_code == 500
