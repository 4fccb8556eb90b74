"""`/v1/connect/ca/configuration`: how the certificate authority issues. Of it, the life of a leaf can be changed.

The authority's own key and root are the catalog's: neither is shown nor taken here.
"""

from typing import Any

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError
from catalog.authority.rules import MAX_LEAF_TTL_S, MIN_LEAF_TTL_S
from catalog.compile.entries.duration import InvalidDurationError, format_duration, parse_duration
from catalog.state.changes import PutRecord

TABLE, KEY = "authority", "configuration"
PROVIDER = "consul"
FIXED: dict[str, Any] = {"RootCertTTL": "87600h", "PrivateKeyType": "ec", "PrivateKeyBits": 256}
"""What is so and cannot be changed; a body may repeat it, as clients send back what they read."""


class Body(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """What is put. `Config` holds what a provider understands."""

    provider: str = PROVIDER
    config: dict[str, Any] = {}
    state: dict[str, str] | None = None
    force_without_cross_signing: bool = False
    create_index: int = 0
    modify_index: int = 0


class AuthorityEndpoints:
    """The one path. What was put before a restart counts from the start, over the command's own setting."""

    def __init__(self, api: Api) -> None:
        self._api = api
        use_kept_configuration(api)

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/connect/ca/configuration": {
                "GET": Method(self.read, IN_HANDLER),
                "PUT": Method(self.write, IN_HANDLER),
            }
        }

    async def read(self, call: Call) -> Answer:
        """How it issues."""
        call.require(Resource.OPERATOR, "", Access.READ)
        record = self._api.parking.state.record(TABLE, KEY)
        ttl = (
            msgspec.json.decode(record.value, type=str)
            if record is not None
            else format_duration(round(self._api.authority.leaf_ttl_s * 1e9))
        )
        shown = {
            "Provider": PROVIDER,
            "Config": {"LeafCertTTL": ttl, **FIXED},
            "State": None,
            "ForceWithoutCrossSigning": False,
            "CreateIndex": record.create_index if record is not None else 0,
            "ModifyIndex": record.modify_index if record is not None else 0,
        }
        return json_answer(shown, pretty=call.query.pretty)

    async def write(self, call: Call) -> Answer:
        """Change the life of leaves that are issued from now on."""
        call.require(Resource.OPERATOR, "", Access.WRITE)
        body = decode(call.body, Body)
        if body.provider != PROVIDER:
            raise BadRequestError(
                f"Provider {body.provider[:40]!r} is not offered: the catalog's own authority is called {PROVIDER!r}"
            )
        for name, value in body.config.items():
            if name != "LeafCertTTL" and FIXED.get(name) != value:
                raise BadRequestError(f"Config.{name[:60]}: cannot be changed here: LeafCertTTL alone can")
        ttl = body.config.get("LeafCertTTL")
        if ttl is not None:
            await self._set(str(ttl))
        return Answer(200, b"")

    async def _set(self, text: str) -> None:
        try:
            seconds = parse_duration(text).seconds
        except InvalidDurationError as error:
            raise BadRequestError(f"Config.LeafCertTTL: {error}") from error
        if not MIN_LEAF_TTL_S <= seconds <= MAX_LEAF_TTL_S:
            raise BadRequestError(
                f"Config.LeafCertTTL: must be {MIN_LEAF_TTL_S:g} s to {MAX_LEAF_TTL_S / 3600:g} h, not {text[:40]}"
            )
        await self._api.submit(PutRecord(TABLE, KEY, msgspec.json.encode(text)))
        self._api.authority.leaf_ttl_s = seconds


def use_kept_configuration(api: Api) -> None:
    """Issue as the state says, from now on."""
    record = api.parking.state.record(TABLE, KEY)
    if record is not None:
        api.authority.leaf_ttl_s = parse_duration(msgspec.json.decode(record.value, type=str)).seconds
