"""Policies: unique names, rules that can be read, and two that nobody changes."""

from typing import Any

import pytest

MANAGEMENT = "policy/00000000-0000-0000-0000-000000000001"
MISSING = "policy/00000000-0000-0000-0000-0000000000ff"


async def test_a_policys_life(acl: Any) -> None:
    made = await acl.made("policy", name="p", rules='{"operator": "read"}')
    path = f"policy/{made['ID']}"
    assert (await acl("GET", path)).json() == made
    assert (await acl("GET", "policy/name/p")).json() == made
    changed = await acl.made(path, **{**made, "Name": "q", "Description": "d"})
    assert (changed["Name"], changed["Description"], changed["CreateIndex"]) == ("q", "d", made["CreateIndex"])
    assert changed["Hash"] != made["Hash"]
    assert (await acl("GET", "policy/name/p")).status_code == 404
    listed = (await acl("GET", "policies")).json()
    assert [one["Name"] for one in listed] == ["global-management", "builtin/global-read-only", "q"]
    assert all("Rules" not in one for one in listed)
    assert (await acl("DELETE", path)).text == "true"
    assert (await acl("GET", path)).status_code == 404
    await acl.made("policy", Name="q")


async def test_the_built_in_ones_stay(acl: Any) -> None:
    assert (await acl("GET", MANAGEMENT)).json()["Name"] == "global-management"
    assert (await acl("GET", "policy/name/builtin/global-read-only")).json()["ID"].endswith("2")
    assert (await acl("PUT", MANAGEMENT, {"Name": "global-management", "Rules": ""})).status_code == 500
    assert (await acl("DELETE", MANAGEMENT)).status_code == 500


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("policy", {}, "no Name is set"),
        ("policy", {"Name": "a b"}, "invalid Name"),
        ("policy", {"Name": "global-management"}, ""),
        ("policy", {"Name": "p", "Rules": "planet = 1"}, "Failed to parse ACL rules"),
        ("policy", {"Name": "p", "ID": "x"}, "ID"),
        ("policy/unknown", {"Name": "p"}, "UUID"),
    ],
)
async def test_what_is_refused(acl: Any, path: str, body: dict[str, Any], text: str) -> None:
    answer = await acl("PUT", path, body)
    assert (answer.status_code, text in answer.text) == (500, True), answer.text


async def test_what_there_is_not(acl: Any) -> None:
    assert (await acl("GET", MISSING)).status_code == 404
    assert (await acl("GET", "policy/unknown")).status_code == 500
    assert (await acl("PUT", MISSING, {"Name": "p"})).status_code == 404
    assert (await acl("DELETE", MISSING)).text == "true"


async def test_names_are_unique(acl: Any) -> None:
    one, two = await acl.made("policy", Name="one"), await acl.made("policy", Name="two")
    for path in ("policy", f"policy/{two['ID']}"):
        answer = await acl("PUT", path, {"Name": "one"})
        assert (answer.status_code, "already exists" in answer.text) == (500, True)
    assert (await acl("GET", f"policy/{one['ID']}")).json() == one
