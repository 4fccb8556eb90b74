"""`/v1/agent/services` and `/v1/agent/service/*`: list, read (blocking on a hash), register, deregister, maintenance."""

import msgspec
import trio

from agents.vm.api.call import Answer, Call, CallError, Endpoint, json_answer
from agents.vm.api.forward import find_token
from agents.vm.api.host import Host
from agents.vm.api.rights import Ask, require
from agents.vm.definition.keys import read_struct
from agents.vm.definition.services import SIDECAR_SUFFIX, service_definition
from agents.vm.definition.shapes import ServiceShape
from agents.vm.definition.values import CheckDefinition, ScriptProbe, ServiceDefinition
from agents.vm.local.entries import Origin, unknown_service
from agents.vm.local.forms import agent_service, content_hash

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
        asks = {key: Ask("service", entry.definition.name, "read") for key, entry in host.state.services.items()}
        return json_answer(filtered(host, call, "services", await readable(host, call, forms, asks)))

    async def read(self, call: Call) -> Answer:
        """One service with its content hash; with `?hash=` it waits until that is no longer the hash."""
        service_id, asked = call.path["service_id"], call.query.get("hash", "")
        await self._require(call, service_id, "read")
        with trio.move_on_after(call.wait_s()):
            while asked and self._hash(service_id) == asked:
                await self._host.news.wait()
        if asked:  # rights may have gone meanwhile, and the ID may be another service's by now
            await self._require(call, service_id, "read")
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
        await require(host.rights, call, *_register_asks(host, definition))
        definition = _with_token(definition, find_token(call))
        for check in definition.checks + (definition.sidecar.checks if definition.sidecar else ()):
            refuse_script(host, check)
        replace = call.flag("replace-existing-checks")
        host.state.put_service(definition, Origin.API, trio.current_time(), replace_checks=replace)
        await host.told()
        return Answer()

    async def deregister(self, call: Call) -> Answer:
        """Deregister a service, its checks and its sidecar."""
        await self._require(call, call.path["service_id"], "write")
        self._host.state.drop_service(call.path["service_id"], trio.current_time())
        await self._host.told()
        return Answer()

    async def maintenance(self, call: Call) -> Answer:
        """Put a service into maintenance, or end it."""
        reason, enable = call.query.get("reason", ""), call.truth("enable")
        if not call.path["service_id"]:
            raise CallError(400, "Missing service ID")
        await self._require(call, call.path["service_id"], "write")
        self._host.state.maintain(call.path["service_id"], reason, trio.current_time(), enable=enable)
        await self._host.told()
        return Answer()

    async def _require(self, call: Call, service_id: str, access: str) -> None:
        """The right to the service of that ID; one that is not here is told as unknown by whoever asks for it next."""
        entry = self._host.state.services.get(service_id)
        if entry is not None:
            await require(self._host.rights, call, Ask("service", entry.definition.name, access))

    def _hash(self, service_id: str) -> str:
        entry = self._host.state.services.get(service_id)
        return content_hash(agent_service(entry.definition, self._host.node)) if entry else ""


def _register_asks(host: Host, definition: ServiceDefinition) -> list[Ask]:
    """The rights that a registration takes: to what it registers, to what that stands for, and to all that it replaces."""
    parts = [definition] if definition.sidecar is None else [definition, definition.sidecar]
    asks: dict[Ask, None] = {}
    for part in parts:
        known = host.state.services.get(part.id)
        stands_for = str((part.proxy or {}).get("DestinationServiceName") or "")
        for name in (part.name, stands_for, known.definition.name if known is not None else ""):
            if name and (part is definition or name != f"{definition.name}{SIDECAR_SUFFIX}"):
                asks[Ask("service", name, "write")] = None
        for check in part.checks:
            replaced = host.state.checks.get(check.check_id)
            if replaced is not None:
                asks[check_ask(host, replaced.definition.service_id, "write")] = None
    return list(asks)


def check_ask(host: Host, service_id: str, access: str) -> Ask:
    """The right that a check takes: to its service, or to the node."""
    service = host.state.services.get(service_id)
    if service is not None:
        return Ask("service", service.definition.name, access)
    return Ask("node", host.node.name, access)


def refuse_script(host: Host, check: CheckDefinition) -> None:
    """Refuse a script check that comes over the API, unless the operator allowed that.

    Raises:
        CallError: scripts over the API are off.
    """
    if isinstance(check.probe, ScriptProbe) and not host.api_scripts:
        raise CallError(400, _SCRIPTS_OFF)


def _with_token(definition: ServiceDefinition, token: str) -> ServiceDefinition:
    """With the caller's token to go along with the registration, where the body gives none."""
    if not token or definition.token:
        return definition
    sidecar = definition.sidecar
    if sidecar is not None and not sidecar.token:
        sidecar = msgspec.structs.replace(sidecar, token=token)
    return msgspec.structs.replace(definition, token=token, sidecar=sidecar)


async def readable(
    host: Host, call: Call, forms: dict[str, dict[str, object]], asks: dict[str, Ask]
) -> dict[str, dict[str, object]]:
    """What of a list the caller may see: `asks` names the right to each entry."""
    if not host.rights.enabled:
        return forms
    verdicts = await host.rights.judge(find_token(call), list(asks.values()))
    seen = {key for key, allowed in zip(asks, verdicts, strict=True) if allowed}
    return {key: form for key, form in forms.items() if key in seen}


def filtered(host: Host, call: Call, listing: str, forms: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """What the call's `?filter=` keeps.

    Raises:
        CallError: filters are not evaluated here, or this one cannot be read.
    """
    text = call.query.get("filter", "")
    if not text:
        return forms
    if host.filter_items is None:
        raise CallError(400, "this agent does not evaluate filters: ask the catalog (/v1/catalog, /v1/health)")
    return host.filter_items(text, listing, forms)
