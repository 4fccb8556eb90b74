"""What the calling side knows of other services: compiled chains, candidates with what was learnt of them, peers.

Rebuilt part by part when the snapshot changes; records of endpoints that stay are kept, trunks to those that go are retired.
"""

import logging

from mesh.decide.balance import Candidate, Key, Pool, carry_over, endpoint_key
from mesh.decide.eject import record
from mesh.decide.reach import GatewayMode, networks_reached
from mesh.decide.retry import RetryBudget
from mesh.decide.route import ChainError, Router, compile_chain
from mesh.model.chain import Target
from mesh.model.endpoint import EndpointSet
from mesh.model.snapshot import Snapshot
from mesh.proxy.outbound.dialler import Dialler
from mesh.proxy.outbound.peer import Peer
from mesh.proxy.parts import Parts
from mesh.telemetry.metrics import Metrics

PeerKey = tuple[str, str, str, Key]
"""Service, datacenter, subset, endpoint: by the first two it is known who must be there."""

_log = logging.getLogger("linkspan.proxy")


class Service:
    """One upstream service: its router (None: no usable chain) and its retry budget."""

    def __init__(self, name: str, now_s: float) -> None:
        self.name = name
        self.router: Router | None = None
        self.budget = RetryBudget(now_s)


class Aim:
    """One target with the endpoints it may use and the peers behind them."""

    __slots__ = ("peers", "pool", "target")

    def __init__(self, target: Target, pool: Pool) -> None:
        self.target = target
        self.pool = pool
        self.peers: dict[Candidate, Peer] = {}


class Directory:
    """Everything that calls are decided from, for the upstreams named in `services`."""

    def __init__(self, parts: Parts, snapshot: Snapshot, mode: GatewayMode, metrics: Metrics) -> None:
        self._parts = parts
        self._metrics = metrics
        self._snapshot = snapshot
        self._mode = mode
        self.dialler = Dialler(parts, snapshot, mode)
        self._services: dict[str, Service] = {}
        self._candidates: dict[str, dict[Key, Candidate]] = {}
        self._sets: dict[str, EndpointSet | None] = {}
        self.aims: dict[str, Aim] = {}
        """By target id; what is missing is made by `aim`."""
        self._peers: dict[PeerKey, Peer] = {}
        self._retired: list[Peer] = []

    def service(self, name: str) -> Service:
        """The upstream service `name`, compiled from the current snapshot."""
        found = self._services.get(name)
        if found is None:
            found = self._services[name] = Service(name, self._parts.ring.time_s())
            self._compile(found)
        return found

    def aim(self, target: Target) -> Aim:
        """The endpoints that `target` may use."""
        aim = self.aims.get(target.id)
        if aim is None or aim.target != target:
            known, own = self._known(target.service).values(), self._snapshot.local.network
            networks = {candidate.endpoint.network for candidate in known}
            reachable = networks_reached(networks, own, self._snapshot.gateways, self._mode)
            pool = Pool(known, target, own, reachable)
            aim = self.aims[target.id] = Aim(target, pool)
        return aim

    def is_available(self, target: Target) -> bool:
        """Whether `target` has a healthy endpoint."""
        return self.aim(target).pool.available(self._parts.ring.now_s)

    def peer(self, aim: Aim, candidate: Candidate) -> Peer:
        """The peer behind a candidate. Across networks the subset is in the name that is dialled, so it counts."""
        target = aim.target
        subset = "" if self.dialler.is_local(candidate.endpoint) else target.subset
        key = (target.service, target.datacenter, subset, endpoint_key(candidate.endpoint))
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = Peer(self.dialler, candidate, target, self._metrics, self.leave_alone)
        aim.peers[candidate] = peer
        return peer

    def failed(self, candidate: Candidate, service: str, now_s: float, *, failed: bool) -> None:
        """Count an outcome; an instance that keeps failing is left out."""
        if record(candidate, self._known(service).values(), now_s, failed=failed):
            _log.warning("%r is left out after consecutive errors", candidate)
            self._metrics.ejections.child(service).value += 1
            for aim in self.aims.values():
                aim.pool.changed()

    def leave_alone(self, candidate: Candidate, until_s: float) -> None:
        """An instance is full: use others until then, as long as there are any. It is no fault, and counts as none."""
        candidate.ejected_until_s = max(candidate.ejected_until_s, until_s)
        for aim in self.aims.values():
            aim.pool.changed()

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Decide from `snapshot` from now on."""
        old, self._snapshot = self._snapshot, snapshot
        self.dialler.snapshot = snapshot
        for service in self._services.values():
            if snapshot.chains.get(service.name) != old.chains.get(service.name):
                self._compile(service)
                self.aims.clear()
        if snapshot.endpoints != old.endpoints or snapshot.gateways != old.gateways or snapshot.local != old.local:
            for name in tuple(self._candidates):
                self._candidates[name] = self._carry(name)
            self.aims.clear()
            self._retire_gone()

    def _retire_gone(self) -> None:
        for key, peer in tuple(self._peers.items()):
            candidate = self._known(key[0]).get(key[3])
            if candidate is not peer.candidate:
                del self._peers[key]
                peer.retire()
                self._retired.append(peer)

    def _known(self, service: str) -> dict[Key, Candidate]:
        found = self._candidates.get(service)
        if found is None:
            found = self._candidates[service] = self._carry(service)
        return found

    def _carry(self, service: str) -> dict[Key, Candidate]:
        known = self._candidates.get(service, {})
        return carry_over(known, self._snapshot.endpoints.get(service), self._parts.ring.time_s())

    def _compile(self, service: Service) -> None:
        chain = self._snapshot.chains.get(service.name)
        try:
            service.router = None if chain is None else compile_chain(chain)
        except ChainError as error:
            _log.error("the chain of %s cannot be used and calls to it fail: %s", service.name, error)
            service.router = None

    def recheck(self) -> None:
        """Judge the peer of every open connection again, by the current roots, revocations and names, and cut what does not pass."""
        source = self._snapshot.local.service
        for service, peer in (
            *((key[0], peer) for key, peer in self._peers.items()),
            *((peer.candidate.endpoint.service, peer) for peer in self._retired),
        ):
            for reason in peer.recheck():
                self.tell_revoked(source, service, reason)

    def tell_revoked(self, source: str, service: str, reason: str) -> None:
        """Count and log a connection that was cut."""
        _log.warning("cut a connection to %s: %s", service, reason)
        self._metrics.revoked.child(source, service).value += 1

    def refresh(self) -> None:
        """Our certificate changed."""
        for peer in self._peers.values():
            peer.refresh()

    def on_sweep(self, now_s: float) -> None:
        """Look at idle trunks."""
        for peer in (*self._peers.values(), *self._retired):
            peer.on_sweep(now_s)
        self._retired = [peer for peer in self._retired if not peer.is_unused]

    def close(self) -> None:
        """Cut every trunk."""
        for peer in (*self._peers.values(), *self._retired):
            peer.close()
