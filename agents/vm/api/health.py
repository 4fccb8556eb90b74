"""`/v1/agent/health/service/*`: one word of health for a service, for load balancers that understand status codes.

Consul's codes: 200 passing, 429 warning, 503 critical or in maintenance, 404 unknown.
"""

from agents.vm.api.call import Answer, Call, Endpoint, json_answer, text_answer
from agents.vm.api.checks import check_form
from agents.vm.api.host import Host
from agents.vm.api.rights import Ask, require
from agents.vm.definition.values import MaintenanceProbe
from agents.vm.local.entries import ServiceEntry
from agents.vm.local.forms import agent_service
from agents.vm.local.state import LocalState

MAINTENANCE = "maintenance"
_RANK = {"passing": 0, "warning": 1, "critical": 2, MAINTENANCE: 3}
_CODES = {"passing": 200, "warning": 429, "critical": 503, MAINTENANCE: 503}


def aggregate(state: LocalState, service_id: str) -> str:
    """The worst state among a service's checks and the node's; `maintenance` beats all. Pure."""
    worst = "passing"
    for entry in (*state.checks_of(service_id), *state.checks_of("")):
        word = MAINTENANCE if isinstance(entry.definition.probe, MaintenanceProbe) else str(entry.status)
        worst = max(worst, word, key=_RANK.__getitem__)
    return worst


class ServiceHealth:
    """The handlers."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {
            "/v1/agent/health/service/id/{service_id:path}": Endpoint(GET=self.by_id),
            "/v1/agent/health/service/name/{name:path}": Endpoint(GET=self.by_name),
        }

    async def by_id(self, call: Call) -> Answer:
        """The health of one instance."""
        service_id = call.path["service_id"]
        entry = self._host.state.services.get(service_id)
        if entry is None:
            return text_answer(f"ServiceId {service_id[:255]} not found", 404)
        await require(self._host.rights, call, Ask("service", entry.definition.name, "read"))
        word = aggregate(self._host.state, service_id)
        return self._answer(call, word, self._form(entry, word))

    async def by_name(self, call: Call) -> Answer:
        """The health of all instances of a name on this host; the worst gives the code."""
        name = call.path["name"]
        await require(self._host.rights, call, Ask("service", name, "read"))
        found = [entry for entry in self._host.state.services.values() if entry.definition.name == name]
        if not found:
            return text_answer(f"ServiceName {name[:255]} not found", 404)
        words = [aggregate(self._host.state, entry.definition.id) for entry in found]
        forms = [self._form(entry, word) for entry, word in zip(found, words, strict=True)]
        return self._answer(call, max(words, key=_RANK.__getitem__), forms)

    def _answer(self, call: Call, word: str, form: object) -> Answer:
        if call.query.get("format") == "text":
            return text_answer(word, _CODES[word])
        return json_answer(form, _CODES[word])

    def _form(self, entry: ServiceEntry, word: str) -> dict[str, object]:
        checks = (*self._host.state.checks_of(entry.definition.id), *self._host.state.checks_of(""))
        return {
            "AggregatedStatus": word,
            "Service": agent_service(entry.definition, self._host.node),
            "Checks": [check_form(self._host, check) for check in checks],
        }
