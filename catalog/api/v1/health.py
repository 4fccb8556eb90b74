"""`/v1/health/*`: instances with their checks, and checks by service, node and state."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import reading
from catalog.api.http.answer import Answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError
from catalog.api.sight import Sight
from catalog.api.v1.selection import is_merged, merged, nearest_first, of_nodes, with_central, with_tags
from catalog.api.v1.shapes import Json, check_json, health_json
from catalog.compile.selectors import CHECK, HEALTH
from catalog.state.index import Topic
from catalog.state.records import Check, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health

STATES: Mapping[str, Health | None] = {"any": None, **{health.value: health for health in Health}}


class HealthEndpoints:
    """The family `/v1/health`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        handlers = {
            "service": self.service,
            "connect": self.connect,
            "checks": self.checks,
            "node": self.node,
            "state": self.state,
        }
        return {
            f"/v1/health/{kind}/{{name}}": {"GET": Method(handler, reading("health"))}
            for kind, handler in handlers.items()
        }

    async def service(self, call: Call) -> Answer:
        """The instances of a service with their node and checks; `passing` keeps those without a worse check."""
        name = call.path["name"]
        return await self._instances(call, ("service", name), lambda state: state.service(name))

    async def connect(self, call: Call) -> Answer:
        """The same of what mesh callers of a service dial."""
        name = call.path["name"]
        return await self._instances(call, ("connect", name), lambda state: state.connect(name))

    async def checks(self, call: Call) -> Answer:
        """The checks of a service's instances."""
        name = call.path["name"]
        return await self._checks(call, lambda state: state.service_checks(name), service=name)

    async def node(self, call: Call) -> Answer:
        """All checks on a node."""
        name = call.path["name"]
        return await self._checks(call, lambda state: state.node_checks(name), node=name)

    async def state(self, call: Call) -> Answer:
        """All checks in a state, or in any."""
        name = call.path["name"]
        if name not in STATES:
            raise BadRequestError(f"{name[:40]!r} is no state: use any, passing, warning or critical")
        return await self._checks(call, lambda state: state.checks(STATES[name]))

    async def _instances(self, call: Call, topic: Topic, rows: Any) -> Answer:
        def read(state: State) -> Found:
            sight = Sight(call)
            if not sight.service(call.path["name"]):
                return sight.unseen((topic[0], ""), [])
            seen = self._shown(state, call, sight.instances(rows(state)))
            return sight.found(seen, *with_central(call.query, topic))

        # Consul streams these (no jitter), but sorts by distance and merges only without the stream.
        quiet = is_merged(call.query)
        streaming = not (call.query.near or quiet)
        parking = self._api.parking
        return await answer_read(parking, call, read, streaming=streaming, quiet=quiet, fields=HEALTH, subject=topic)

    def _shown(self, state: State, call: Call, instances: Iterable[ServiceInstance]) -> list[Json]:
        passing = call.query.flag("passing")
        placed = ((state.node(instance.node), instance) for instance in with_tags(call.query, instances))
        pairs = of_nodes(call.query, [(node, row) for node, row in placed if node is not None], lambda pair: pair[0])
        shown = []
        for node, instance in nearest_first(call.query, pairs, lambda pair: pair[0].node):
            checks = state.instance_checks(instance)
            if not passing or all(check.status is Health.PASSING for check in checks):
                shown.append(health_json(node, merged(call.query, self._api.entries, instance), checks))
        return shown

    async def _checks(self, call: Call, rows: Any, *, node: str = "", service: str = "") -> Answer:
        """The checks among `rows` that the caller sees; of a node or service that it does not see, as if there were none."""

        def read(state: State) -> Found:
            sight = Sight(call)
            if (node and not sight.node(node)) or (service and not sight.service(service)):
                return sight.found([], ("checks",), hidden=True)
            checks: list[Check] = sight.checks(rows(state))
            if call.query.node_meta:
                nodes = {node.node for node in of_nodes(call.query, state.nodes(), lambda node: node)}
                checks = [check for check in checks if check.node in nodes]
            near = nearest_first(call.query, checks, lambda check: check.node)
            return sight.found([check_json(check) for check in near], ("checks",))

        return await answer_read(self._api.parking, call, read, fields=CHECK)
