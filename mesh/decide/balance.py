"""Which instance gets a request: power of two choices on peak EWMA, own network first.

`Candidate` is the caller's record of one endpoint, `Pool` the endpoints that a target may use; both are mutable and
belong to one process. Nothing here reads a clock or draws: `now_s` is monotonic, draws are in [0, 1).

- Two candidates are drawn, the one with the lower load wins; load is the latency EWMA times (pending + 1). The EWMA
  forgets with a time constant of 10 s, a sample above it replaces it (peak), a new endpoint counts as 30 ms.
- Weights: with equal weights two different candidates are drawn; with unequal ones both draws follow the weights, with
  replacement, so that at equal loads the shares are the weights. Weight 0 gets nothing.
- A warning is healthy unless the target asks for passing only; critical never gets traffic, not even in panic.
- Endpoints of the caller's own network are used as long as one of them is healthy and not ejected; only then those of
  networks that have a gateway.
- Panic: when fewer than half of a network's healthy endpoints are not ejected, ejection is ignored there.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from math import exp, inf

from mesh.decide.authorise import Permit
from mesh.model.chain import Target
from mesh.model.endpoint import Endpoint, EndpointSet, Health

DECAY_S = 10.0
FIRST_RTT_S = 0.030
PENALTY_S = 5.0
MAX_PENALTY_S = 300.0
# An idle endpoint's EWMA decays towards nothing; below this it would draw a whole burst before its pending count tells.
MIN_RTT_S = 0.0001
PANIC_SHARE = 0.5

Key = tuple[str, str, str, int]


class Load:
    """Latency and pending requests of one endpoint."""

    __slots__ = ("_rtt_s", "_stamp_s", "pending")

    def __init__(self, now_s: float) -> None:
        self._rtt_s = FIRST_RTT_S
        self._stamp_s = now_s
        self.pending = 0

    def started(self, now_s: float) -> None:
        """A request (or stream) was given to the endpoint."""
        del now_s
        self.pending += 1

    def finished(self, now_s: float, rtt_s: float | None, failed: bool = False) -> None:
        """It ended: `rtt_s` to the response's head (None: nothing to learn, as for a TCP stream). A failure is slow."""
        if self.pending:
            self.pending -= 1
        if failed:
            rtt_s = PENALTY_S if rtt_s is None or rtt_s < PENALTY_S else rtt_s
        if rtt_s is None:
            return
        elapsed_s = now_s - self._stamp_s
        kept = exp(-elapsed_s / DECAY_S) if elapsed_s > 0 else 1.0
        old_s = self._rtt_s
        self._rtt_s = rtt_s if rtt_s > old_s * kept else old_s * kept + rtt_s * (1.0 - kept)
        self._stamp_s = max(now_s, self._stamp_s)

    def score(self, now_s: float) -> float:
        """The load: projected EWMA in seconds times (pending + 1). Changes nothing."""
        elapsed_s = now_s - self._stamp_s
        rtt_s = self._rtt_s * exp(-elapsed_s / DECAY_S) if elapsed_s > 0 else self._rtt_s
        # Twice a request: a call of max() costs more than the comparison.
        return (rtt_s if rtt_s > MIN_RTT_S else MIN_RTT_S) * (self.pending + 1)  # noqa: FURB136 - hot path


def penalised_rtt_s(status: int, rtt_s: float, retry_after_s: float | None = None) -> float:
    """The latency to count for a response: 429 and 503 as 5 s, or their Retry-After when larger (at most 300 s)."""
    if status not in {429, 503}:
        return rtt_s
    return max(rtt_s, PENALTY_S, min(retry_after_s or 0.0, MAX_PENALTY_S))


class Candidate:
    """One endpoint with what this process learnt of it. `ejected_until_s` and its counters belong to `eject`."""

    __slots__ = ("consecutive", "ejected_until_s", "endpoint", "load", "times_ejected")

    def __init__(self, endpoint: Endpoint, now_s: float) -> None:
        self.endpoint = endpoint
        self.load = Load(now_s)
        self.consecutive = 0
        self.times_ejected = 0
        self.ejected_until_s = -inf

    def __repr__(self) -> str:
        return f"Candidate({self.endpoint.instance!r} at {self.endpoint.address}:{self.endpoint.port})"


def endpoint_key(endpoint: Endpoint) -> Key:
    """What makes two endpoints of successive snapshots the same one."""
    return endpoint.node, endpoint.instance, endpoint.address, endpoint.port


def carry_over(known: Mapping[Key, Candidate], endpoints: EndpointSet | None, now_s: float) -> dict[Key, Candidate]:
    """The candidates of a new endpoint set; endpoints that stay keep their record (and its object)."""
    out: dict[Key, Candidate] = {}
    for endpoint in endpoints.endpoints if endpoints is not None else ():
        key = endpoint_key(endpoint)
        candidate = known.get(key) or Candidate(endpoint, now_s)
        candidate.endpoint = endpoint
        out[key] = candidate
    return out


def healthy(candidates: Iterable[Candidate], target: Target | None) -> list[Candidate]:
    """Those of the target's subset that may get traffic by their checks and their weight."""
    subset = target.subset if target is not None else ""
    only_passing = target is not None and target.only_passing
    return [
        candidate
        for candidate in candidates
        if candidate.endpoint.weight > 0
        and candidate.endpoint.health is not Health.CRITICAL
        and not (only_passing and candidate.endpoint.health is not Health.PASSING)
        and (not subset or subset in candidate.endpoint.subsets)
    ]


def eligible(
    candidates: Iterable[Candidate], target: Target | None, own_network: str, reachable: Collection[str], now_s: float
) -> list[Candidate]:
    """The candidates to balance over now. `reachable`: other networks that have a gateway.

    Own network before others, panic and ejection as the module says.
    """
    fit = healthy(candidates, target)
    own = [candidate for candidate in fit if candidate.endpoint.network == own_network]
    if any(candidate.ejected_until_s <= now_s for candidate in own):
        return _spared(own, now_s)
    others = [
        candidate
        for candidate in fit
        if candidate.endpoint.network != own_network and candidate.endpoint.network in reachable
    ]
    if any(candidate.ejected_until_s <= now_s for candidate in others):
        return _spared(others, now_s)
    return own or others


def _spared(candidates: list[Candidate], now_s: float) -> list[Candidate]:
    standing = [candidate for candidate in candidates if candidate.ejected_until_s <= now_s]
    return standing if len(standing) >= PANIC_SHARE * len(candidates) else candidates


class Pool:
    """The candidates of one target, ready to pick from. Make a new one when its endpoint set changes.

    After an ejection call `changed()`; the end of an ejection is noticed by itself.
    """

    __slots__ = ("_all", "_bounds", "_even", "_own_network", "_reachable", "_ready", "_target", "_until_s")

    def __init__(
        self,
        candidates: Iterable[Candidate],
        target: Target | None,
        own_network: str,
        reachable: Collection[str] = (),
    ) -> None:
        self._all = tuple(candidates)
        self._target = target
        self._own_network = own_network
        self._reachable = frozenset(reachable)
        self._ready: list[Candidate] = []
        self._bounds: tuple[int, ...] = ()
        self._even = True
        self._until_s = -inf

    def changed(self) -> None:
        """An endpoint of this pool was ejected or taken back: look again at the next pick."""
        self._until_s = -inf

    def available(self, now_s: float) -> bool:
        """Whether there is anything to pick."""
        if now_s >= self._until_s:
            self._look(now_s)
        return bool(self._ready)

    def pick(self, permit: Permit, draw1: float, draw2: float, now_s: float) -> Candidate | None:
        """The endpoint for one authorised request; None when none is healthy. Count it with `load.started`."""
        del permit  # Asked for, so that only an authorised request gets an endpoint.
        if now_s >= self._until_s:
            self._look(now_s)
        ready = self._ready
        count = len(ready)
        if count < 2:
            return ready[0] if count else None
        if self._even:
            first = int(draw1 * count)
            second = int(draw2 * (count - 1))
            if second >= first:
                second += 1
        else:
            total = self._bounds[-1]
            first = bisect_right(self._bounds, int(draw1 * total))
            second = bisect_right(self._bounds, int(draw2 * total))
        one, two = ready[first], ready[second]
        return two if two.load.score(now_s) < one.load.score(now_s) else one

    def pick_other(
        self, permit: Permit, draws: tuple[float, float], now_s: float, avoid: Collection[Candidate]
    ) -> Candidate | None:
        """As `pick` for a retry: not one of `avoid` as long as there is another."""
        if now_s >= self._until_s:
            self._look(now_s)
        others = [candidate for candidate in self._ready if candidate not in avoid]
        if not others:
            return self.pick(permit, draws[0], draws[1], now_s)
        return pick_endpoint(permit, others, draws[0], draws[1], now_s)

    def _look(self, now_s: float) -> None:
        """Filter anew, and remember when the next ejection ends."""
        self._ready = eligible(self._all, self._target, self._own_network, self._reachable, now_s)
        self._until_s = min(
            (candidate.ejected_until_s for candidate in self._all if candidate.ejected_until_s > now_s), default=inf
        )
        weights = [candidate.endpoint.weight for candidate in self._ready]
        self._even = len(set(weights)) <= 1
        self._bounds = () if self._even else tuple(accumulate(weights))


def pick_endpoint(
    permit: Permit, candidates: Sequence[Candidate], draw1: float, draw2: float, now_s: float
) -> Candidate | None:
    """P2C over candidates that were chosen already (gateways, retries); None when there are none."""
    del permit
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    weights = [candidate.endpoint.weight for candidate in candidates]
    if len(set(weights)) <= 1 or not sum(weights):
        first = int(draw1 * len(candidates))
        second = int(draw2 * (len(candidates) - 1))
        second += second >= first
    else:
        bounds = tuple(accumulate(weights))
        first = bisect_right(bounds, int(draw1 * bounds[-1]))
        second = bisect_right(bounds, int(draw2 * bounds[-1]))
    one, two = candidates[first], candidates[second]
    return two if two.load.score(now_s) < one.load.score(now_s) else one


def choose_target(target: Target, failover: Sequence[Target], available: Callable[[Target], bool]) -> Target:
    """The target itself, or the first of its fail-over targets with a healthy endpoint; itself when none has one."""
    if failover and not available(target):
        for other in failover:
            if available(other):
                return other
    return target
