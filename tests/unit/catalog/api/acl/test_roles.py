"""Roles: rights under a name, for many tokens."""

from typing import Any


async def test_a_roles_life(acl: Any) -> None:
    made = await acl.made(
        "role",
        Name="r",
        Policies=[{"Name": "global-management"}],
        ServiceIdentities=[{"ServiceName": "web"}],
        NodeIdentities=[{"NodeName": "n1", "Datacenter": "dc1"}],
    )
    path = f"role/{made['ID']}"
    assert made["Policies"][0]["Name"] == "global-management"
    assert (await acl("GET", path)).json() == made == (await acl("GET", "role/name/r")).json()
    changed = await acl.made(path, Name="s", Description="d")
    assert "Policies" not in changed
    assert [one["Name"] for one in (await acl("GET", "roles")).json()] == ["s"]
    assert (await acl("GET", "roles?policy=00000000-0000-0000-0000-000000000001")).json() == []
    assert (await acl("DELETE", path)).text == "true"
    for gone in (path, "role/name/s"):
        assert (await acl("GET", gone)).status_code == 404
    assert (await acl("DELETE", path)).text == "true"


async def test_its_rights_are_those_of_its_tokens(acl: Any) -> None:
    """At once when it changes, and gone with it."""
    role = await acl.made("role", Name="r", Policies=[{"Name": "builtin/global-read-only"}])
    token = (await acl.made("token", Roles=[{"Name": "r"}]))["SecretID"]
    assert (await acl("GET", "tokens", token=token)).status_code == 200
    await acl.made(f"role/{role['ID']}", Name="r")
    assert (await acl("GET", "tokens", token=token)).status_code == 403


async def test_what_is_refused(acl: Any) -> None:
    await acl.made("role", Name="r")
    for body in (
        {},
        {"Name": "r"},
        {"Name": "a b"},
        {"Name": "x", "Policies": [{"Name": "no"}]},
        {"Name": "x", "ID": "y"},
    ):
        assert (await acl("PUT", "role", body)).status_code == 500
