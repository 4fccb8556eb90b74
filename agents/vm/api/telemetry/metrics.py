"""`/v1/agent/metrics`: everything in prometheus_client's registry, and this agent's own counts, in both of Consul's forms."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.vm.local.state import LocalState
from mesh.model.endpoint import Health

PROMETHEUS_TYPE = CONTENT_TYPE_LATEST


class AgentCollector(Collector):
    """How many services and checks this agent holds."""

    def __init__(self, state: LocalState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("linkspan_agent_services", "Services of this host.", value=len(self._state.services))
        counts = Counter(str(entry.status) for entry in self._state.checks.values())
        checks = GaugeMetricFamily("linkspan_agent_checks", "Checks of this host.", labels=["status"])
        for health in Health:
            checks.add_metric([str(health)], counts[health])
        yield checks


def all_metrics(state: LocalState) -> list[Metric]:
    """Of the process, and of this agent."""
    return [*REGISTRY.collect(), *AgentCollector(state).collect()]


def prometheus_text(state: LocalState) -> bytes:
    """In Prometheus' text form."""
    own = CollectorRegistry()
    own.register(AgentCollector(state))
    return generate_latest(own) + generate_latest(REGISTRY)


def consul_form(metrics: Iterable[Metric], now_s: float) -> dict[str, Any]:
    """In Consul's JSON: gauges, counters, and samples (what is measured often). Pure."""
    form: dict[str, Any] = {
        "Timestamp": f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M:%S} +0000 UTC",
        "Gauges": [],
        "Points": [],
        "Counters": [],
        "Samples": [],
    }
    for metric in metrics:
        if metric.type in {"histogram", "summary"}:
            form["Samples"] += _samples(metric)
        elif metric.type == "counter":
            form["Counters"] += [
                _aggregate(metric.name, one.value, one.value, one.labels)
                for one in metric.samples
                if one.name.endswith("_total") and math.isfinite(one.value)
            ]
        else:
            form["Gauges"] += [
                {"Name": one.name, "Value": one.value, "Labels": dict(one.labels)}
                for one in metric.samples
                if math.isfinite(one.value)
            ]
    return form


def _samples(metric: Metric) -> list[dict[str, Any]]:
    counts: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for one in metric.samples:
        for suffix in ("_count", "_sum"):
            if one.name == metric.name + suffix:
                counts.setdefault(tuple(sorted(one.labels.items())), {})[suffix] = one.value
    return [
        _aggregate(metric.name, found.get("_count", 0.0), found.get("_sum", 0.0), dict(labels))
        for labels, found in counts.items()
    ]


def _aggregate(name: str, count: float, total: float, labels: dict[str, str]) -> dict[str, Any]:
    """Since the process began, not over ten seconds as Consul's are: what is not known of that time is 0."""
    return {
        "Name": name,
        "Count": int(count),
        "Rate": 0,
        "Sum": total,
        "Min": 0,
        "Max": 0,
        "Mean": total / count if count else 0,
        "Stddev": 0,
        "Labels": dict(labels),
    }
