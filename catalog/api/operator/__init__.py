"""What is about the catalog itself rather than what it holds: operator, events, coordinates, snapshots, peering, agent.

Consul answers these from Raft, gossip and WAN federation, which Linkspan does not have: each one says truthfully what is
so here, in Consul's form where its clients read it, and refuses in plain words what cannot be done.
"""

from catalog.api.api import Api, Paths
from catalog.api.operator.agent import AgentEndpoints
from catalog.api.operator.authority import AuthorityEndpoints
from catalog.api.operator.autopilot import AutopilotEndpoints
from catalog.api.operator.coordinate import CoordinateEndpoints
from catalog.api.operator.event import EventEndpoints
from catalog.api.operator.peering import PeeringEndpoints
from catalog.api.operator.raft import RaftEndpoints
from catalog.api.operator.removed import RemovedEndpoints
from catalog.api.operator.snapshot import SnapshotEndpoints
from catalog.api.operator.usage import UsageEndpoints


class OperatorEndpoints:
    """All families of this package as one."""

    def __init__(self, api: Api) -> None:
        self._families = (
            RaftEndpoints(api),
            AutopilotEndpoints(api),
            UsageEndpoints(api),
            CoordinateEndpoints(api),
            EventEndpoints(api),
            PeeringEndpoints(api),
            SnapshotEndpoints(api),
            AuthorityEndpoints(api),
            AgentEndpoints(api),
            RemovedEndpoints(api),
        )

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {path: methods for family in self._families for path, methods in family.paths().items()}
