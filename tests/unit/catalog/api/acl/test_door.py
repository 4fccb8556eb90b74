"""The door: 401 while access control is off, 403 for who may not, before anything is looked at."""

from typing import Any

from catalog.access.acl.settings import OFF
from tests.fakes.catalog_site import open_site

PATHS = (
    ("PUT", "bootstrap"),
    ("POST", "login"),
    ("POST", "logout"),
    ("GET", "auth-methods"),
    ("PUT", "binding-rule"),
    ("GET", "replication"),
    ("GET", "tokens"),
    ("GET", "token/self"),
    ("GET", "policies"),
    ("PUT", "role"),
    ("GET", "templated-policies"),
)


async def test_without_access_control_there_are_no_tokens_to_speak_of() -> None:
    for settings in ({"everyone_operates": True}, {"acl": OFF}):
        async with open_site(**settings) as site:
            for method, path in PATHS:
                answer = await site.request(method, f"/v1/acl/{path}", {})
                assert (answer.status_code, answer.text) == (401, "ACL support disabled"), path


async def test_who_may_not_is_told_what_it_lacks(acl: Any) -> None:
    reader = await acl.made("token", Policies=[{"Name": "builtin/global-read-only"}])
    for token, lacks in (("", "acl:read"), (reader["SecretID"], "acl:write")):
        for path in ("token", "policy", "role", "auth-method", "binding-rule"):
            answer = await acl("PUT", path, b"not even JSON", token=token)
            assert (answer.status_code, "acl:write" in answer.text) == (403, True)
        answer = await acl("GET", "tokens", token=token)
        assert answer.status_code == (403 if lacks == "acl:read" else 200)
