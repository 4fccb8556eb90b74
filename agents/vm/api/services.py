"""`/v1/agent/services` and `/v1/agent/service/*`: list, read (blocking on a hash), register, deregister, maintenance."""

import trio

from agents.vm.api.call import Answer, Call, CallError, Endpoint, json_answer
from agents.vm.api.host import Host
from agents.vm.definition.duration import InvalidDurationError, parse_duration
from agents.vm.definition.keys import read_struct
from agents.vm.definition.services import service_definition
from agents.vm.definition.shapes import ServiceShape
from agents.vm.definition.values import CheckDefinition, ScriptProbe
from agents.vm.local.entries import Origin, unknown_service
from agents.vm.local.forms import agent_service, content_hash

DEFAULT_WAIT_S = 300.0
MAX_WAIT_S = 600.0
_SCRIPTS_OFF = "Scripts are disabled on this agent's API: define script checks in a service file"


class Services:
    """The handlers."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {
            "/v1/agent/services": Endpoint(GET=self.list),
            "/v1/agent/service/register": Endpoint(PUT=self.register),
            "/v1/agent/service/deregister/{service_id:path}": Endpoint(PUT=self.deregister),
            "/v1/agent/service/maintenance/{service_id:path}": Endpoint(PUT=self.maintenance),
            "/v1/agent/service/{service_id:path}": Endpoint(GET=self.read),
        }

    async def list(self, call: Call) -> Answer:
        """All services of this host by ID."""
        host = self._host
        forms = {key: agent_service(entry.definition, host.node) for key, entry in host.state.services.items()}
        return json_answer(filtered(host, call, forms))

    async def read(self, call: Call) -> Answer:
        """One service with its content hash; with `?hash=` it waits until that is no longer the hash."""
        service_id, asked = call.path["service_id"], call.query.get("hash", "")
        with trio.move_on_after(_wait_s(call)):
            while asked and self._hash(service_id) == asked:
                await self._host.news.wait()
        entry = self._host.state.services.get(service_id)
        if entry is None:
            raise unknown_service(service_id)
        form = agent_service(entry.definition, self._host.node)
        digest = content_hash(form)
        return json_answer({**form, "ContentHash": digest}, headers=(("x-consul-contenthash", digest),))

    async def register(self, call: Call) -> Answer:
        """Register a service, its checks and its sidecar."""
        host = self._host
        definition = service_definition(read_struct(call.json(), ServiceShape), node=host.node.name)
        for check in definition.checks + (definition.sidecar.checks if definition.sidecar else ()):
            refuse_script(host, check)
        replace = call.flag("replace-existing-checks")
        host.state.put_service(definition, Origin.API, trio.current_time(), replace_checks=replace)
        await host.told()
        return Answer()

    async def deregister(self, call: Call) -> Answer:
        """Deregister a service, its checks and its sidecar."""
        self._host.state.drop_service(call.path["service_id"], trio.current_time())
        await self._host.told()
        return Answer()

    async def maintenance(self, call: Call) -> Answer:
        """Put a service into maintenance, or end it."""
        reason, enable = call.query.get("reason", ""), call.truth("enable")
        if not call.path["service_id"]:
            raise CallError(400, "Missing service ID")
        self._host.state.maintain(call.path["service_id"], reason, trio.current_time(), enable=enable)
        await self._host.told()
        return Answer()

    def _hash(self, service_id: str) -> str:
        entry = self._host.state.services.get(service_id)
        return content_hash(agent_service(entry.definition, self._host.node)) if entry else ""


def refuse_script(host: Host, check: CheckDefinition) -> None:
    """Refuse a script check that comes over the API, unless the operator allowed that.

    Raises:
        CallError: scripts over the API are off.
    """
    if isinstance(check.probe, ScriptProbe) and not host.api_scripts:
        raise CallError(400, _SCRIPTS_OFF)


def filtered(host: Host, call: Call, forms: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """What the call's `?filter=` keeps.

    Raises:
        CallError: filters are not evaluated here, or this one cannot be read.
    """
    text = call.query.get("filter", "")
    if not text:
        return forms
    if host.filter_items is None:
        raise CallError(400, "this agent does not evaluate filters: ask the catalog (/v1/catalog, /v1/health)")
    return host.filter_items(text, forms)


def _wait_s(call: Call) -> float:
    text = call.query.get("wait", "")
    try:
        return min(parse_duration(text), MAX_WAIT_S) if text else DEFAULT_WAIT_S
    except InvalidDurationError as error:
        raise CallError(400, f"Invalid wait time: {error}") from error
