"""`/v1/operator/autopilot/*`: settings that are kept for whoever reads them back, and the health of the one server.

Autopilot looks after Raft's servers; there is no Raft here, so the settings are kept and have no effect.
"""

from datetime import UTC, datetime
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
from catalog.api.operator.server import CONSUL_API, own_server
from catalog.compile.entries.duration import InvalidDurationError, parse_duration
from catalog.state.changes import PutRecord

TABLE, KEY = "operator", "autopilot"


class Settings(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """Autopilot's settings, with Consul's defaults. The last three are Enterprise's."""

    cleanup_dead_servers: bool = True
    last_contact_threshold: str = "200ms"
    max_trailing_logs: int = 250
    min_quorum: int = 0
    server_stabilization_time: str = "10s"
    redundancy_zone_tag: str = ""
    disable_upgrade_migration: bool = False
    upgrade_version_tag: str = ""


class _Body(Settings, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """What clients send: indexes that they read come back with the rest, and do not count."""

    create_index: int = 0
    modify_index: int = 0


class AutopilotEndpoints:
    """The family `/v1/operator/autopilot`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._since = api.epoch()

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/operator/autopilot/configuration": {
                "GET": Method(self.configuration, IN_HANDLER),
                "PUT": Method(self.configure, IN_HANDLER),
            },
            "/v1/operator/autopilot/health": {"GET": Method(self.health, IN_HANDLER)},
            "/v1/operator/autopilot/state": {"GET": Method(self.state, IN_HANDLER)},
        }

    async def configuration(self, call: Call) -> Answer:
        """The settings, and when they were written."""
        call.require(Resource.OPERATOR, "", Access.READ)
        record = self._api.parking.state.record(TABLE, KEY)
        settings = msgspec.json.decode(record.value, type=Settings) if record is not None else Settings()
        created, modified = (record.create_index, record.modify_index) if record is not None else (0, 0)
        shown = {**msgspec.to_builtins(settings), "CreateIndex": created, "ModifyIndex": modified}
        return json_answer(shown, pretty=call.query.pretty)

    async def configure(self, call: Call) -> Answer:
        """Keep settings; with `cas` only over those of that index. Whether they were kept."""
        call.require(Resource.OPERATOR, "", Access.WRITE)
        body = decode(call.body, _Body)
        for name, text in (
            ("LastContactThreshold", body.last_contact_threshold),
            ("ServerStabilizationTime", body.server_stabilization_time),
        ):
            try:
                parse_duration(text)
            except InvalidDurationError as error:
                raise BadRequestError(f"{name}: {error}") from error
        kept = Settings(**{field.name: getattr(body, field.name) for field in msgspec.structs.fields(Settings)})
        value = msgspec.json.encode(kept)
        return json_answer(await self._api.submit(PutRecord(TABLE, KEY, value, _cas(call))))

    async def health(self, call: Call) -> Answer:
        """The one server; who gets this answer knows that it is well."""
        call.require(Resource.OPERATOR, "", Access.READ)
        return json_answer(
            {"Healthy": True, "FailureTolerance": 0, "Servers": [self._server_health()]}, pretty=call.query.pretty
        )

    async def state(self, call: Call) -> Answer:
        """The same, as autopilot's own state."""
        call.require(Resource.OPERATOR, "", Access.READ)
        health = self._server_health()
        shown = {key: value for key, value in health.items() if key not in {"SerfStatus", "Leader", "Voter"}}
        shown |= {
            "NodeStatus": "alive",
            "Status": "leader",
            "NodeType": "voter",
            "ReadReplica": False,
            "Meta": {},
        }
        answer = {
            "Healthy": True,
            "FailureTolerance": 0,
            "OptimisticFailureTolerance": 0,
            "Servers": {health["ID"]: shown},
            "Leader": health["ID"],
            "Voters": [health["ID"]],
        }
        return json_answer(answer, pretty=call.query.pretty)

    def _server_health(self) -> dict[str, Any]:
        server = own_server(self._api, self._api.parking.state)
        return {
            "ID": server.id,
            "Name": server.node,
            "Address": server.address,
            "SerfStatus": "alive",
            "Version": CONSUL_API,
            "Leader": True,
            "LastContact": "0s",
            "LastTerm": 0,
            "LastIndex": server.last_index,
            "Healthy": True,
            "Voter": True,
            "StableSince": rfc3339(self._since),
        }


def rfc3339(epoch_s: float) -> str:
    """A moment as Go's JSON prints it, in whole seconds (RFC 3339)."""
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _cas(call: Call) -> int | None:
    text = call.query.first("cas")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise BadRequestError("Error parsing cas value: it must be the ModifyIndex that was read")
    return int(text)
