"""`/v1/agent/checks` and `/v1/agent/check/*`: list, register, deregister, and the beats of TTL checks."""

import msgspec
import trio

from agents.vm.api.call import Answer, Call, CallError, Endpoint, Handler, json_answer
from agents.vm.api.forward import find_token
from agents.vm.api.host import Host
from agents.vm.api.rights import require
from agents.vm.api.services import check_ask, filtered, readable, refuse_script
from agents.vm.definition.checks import check_definition
from agents.vm.definition.keys import read_struct
from agents.vm.definition.shapes import CheckShape
from agents.vm.local.entries import CheckEntry, Origin
from agents.vm.local.forms import agent_check
from mesh.model.endpoint import Health


class UpdateShape(msgspec.Struct):
    """The body of `check/update`."""

    status: str = ""
    output: str = ""


class Checks:
    """The handlers."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        beats = {"pass": Health.PASSING, "warn": Health.WARNING, "fail": Health.CRITICAL}
        return {
            "/v1/agent/checks": Endpoint(GET=self.list),
            "/v1/agent/check/register": Endpoint(PUT=self.register),
            "/v1/agent/check/deregister/{check_id:path}": Endpoint(PUT=self.deregister),
            "/v1/agent/check/update/{check_id:path}": Endpoint(PUT=self.update),
            **{f"/v1/agent/check/{verb}/{{check_id:path}}": Endpoint(PUT=self._beat(to)) for verb, to in beats.items()},
        }

    async def list(self, call: Call) -> Answer:
        """All checks of this host by ID."""
        host = self._host
        forms = {key: check_form(host, entry) for key, entry in host.state.checks.items()}
        asks = {key: check_ask(host, entry.definition.service_id, "read") for key, entry in host.state.checks.items()}
        return json_answer(filtered(host, call, "checks", await readable(host, call, forms, asks)))

    async def register(self, call: Call) -> Answer:
        """Register a check of the node, or of a service that is registered here."""
        host, shape = self._host, read_struct(call.json(), CheckShape)
        if not shape.name:
            raise CallError(400, "Missing check name")
        if shape.check_id:  # Consul takes it inside services only
            raise CallError(400, 'Request decode failed: json: unknown field "CheckID": did you mean "ID"?')
        check = check_definition(shape, check_id=shape.name, name=shape.name, node=host.node.name)
        refuse_script(host, check)
        asks = [check_ask(host, check.service_id, "write")]
        replaced = host.state.checks.get(check.check_id)
        if replaced is not None:
            asks.append(check_ask(host, replaced.definition.service_id, "write"))
        await require(host.rights, call, *asks)
        if not check.token:
            check = msgspec.structs.replace(check, token=find_token(call))
        host.state.put_check(check, Origin.API, trio.current_time())
        await host.told()
        return Answer()

    async def deregister(self, call: Call) -> Answer:
        """Deregister a check."""
        await self._require(call)
        self._host.state.drop_check(call.path["check_id"], trio.current_time())
        await self._host.told()
        return Answer()

    async def update(self, call: Call) -> Answer:
        """A beat with any state and a long output."""
        shape = read_struct(call.json(), UpdateShape)
        if shape.status not in set(Health):
            raise CallError(400, f"Invalid check status: {shape.status[:40]!r}")
        await self._require(call)
        self._host.state.beat(call.path["check_id"], Health(shape.status), shape.output, trio.current_time())
        await self._host.told()
        return Answer()

    def _beat(self, status: Health) -> Handler:
        async def beat(call: Call) -> Answer:
            await self._require(call)
            note = call.query.get("note", "")
            self._host.state.beat(call.path["check_id"], status, note, trio.current_time())
            await self._host.told()
            return Answer()

        return beat

    async def _require(self, call: Call) -> None:
        """The right to change the check of that ID; one that is not here is told as unknown by whoever asks for it next."""
        entry = self._host.state.checks.get(call.path["check_id"])
        if entry is not None:
            await require(self._host.rights, call, check_ask(self._host, entry.definition.service_id, "write"))


def check_form(host: Host, entry: CheckEntry) -> dict[str, object]:
    """A check as the API shows it."""
    service = host.state.services.get(entry.definition.service_id)
    return agent_check(entry, host.node, service.definition if service else None)
