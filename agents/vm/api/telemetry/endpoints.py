"""`/v1/agent/metrics`, `monitor` and `host`."""

import logging
import time

import trio

from agents.vm.api.call import Answer, Call, CallError, Endpoint, Write, json_answer
from agents.vm.api.host import Host
from agents.vm.api.rights import Ask, require
from agents.vm.api.telemetry.machine import host_form
from agents.vm.api.telemetry.metrics import PROMETHEUS_TYPE, all_metrics, consul_form, prometheus_text
from agents.vm.api.telemetry.monitor import LEVELS, LogTap

MAX_MONITORS = 16


class Telemetry:
    """The handlers."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._monitors = trio.CapacityLimiter(MAX_MONITORS)

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {
            "/v1/agent/metrics": Endpoint(GET=self.metrics),
            "/v1/agent/monitor": Endpoint(GET=self.monitor),
            "/v1/agent/host": Endpoint(GET=self.machine),
        }

    async def metrics(self, call: Call) -> Answer:
        """The process's numbers, as Consul's JSON or in Prometheus' text form."""
        await require(self._host.rights, call, self._own("read"))
        if call.query.get("format") == "prometheus":
            return Answer(200, prometheus_text(self._host.state), PROMETHEUS_TYPE)
        return json_answer(consul_form(all_metrics(self._host.state), time.time()))

    async def monitor(self, call: Call) -> Answer:
        """The log from now on, of a level and above."""
        await require(self._host.rights, call, self._own("read"))
        word = call.query.get("loglevel") or "info"
        level = LEVELS.get(word.lower())
        if level is None:
            raise CallError(400, f"Unknown log level: {word[:40]}")
        if self._monitors.available_tokens < 1:
            raise CallError(429, f"{MAX_MONITORS} callers read the log already: end one of them first")

        async def stream(write: Write) -> None:
            async with self._monitors:
                await LogTap(level, as_json=call.flag("logjson")).run(write)

        logging.getLogger("linkspan.agent.api").debug("a caller reads the log")
        return Answer(stream=stream)

    async def machine(self, call: Call) -> Answer:
        """The machine below."""
        await require(self._host.rights, call, Ask("operator", "", "read"))
        return json_answer(await trio.to_thread.run_sync(host_form))

    def _own(self, access: str) -> Ask:
        return Ask("agent", self._host.node.name, access)
