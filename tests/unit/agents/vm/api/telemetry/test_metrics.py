"""The two forms of the agent's numbers."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agents.vm.api.telemetry.metrics import all_metrics, consul_form, prometheus_text
from agents.vm.definition.values import CheckDefinition, ServiceDefinition, TtlProbe
from agents.vm.local.entries import Origin
from agents.vm.local.state import LocalState


def scene() -> LocalState:
    state = LocalState()
    state.put_service(ServiceDefinition("web", "web"), Origin.API, 0)
    state.put_check(CheckDefinition("c", "c", TtlProbe(1)), Origin.API, 0)
    return state


def test_consuls_form_has_its_five_parts() -> None:
    """Gauges, counters, and samples of what is measured often; what is no number is left out."""
    registry = CollectorRegistry()
    Gauge("depth", "d", ["queue"], registry=registry).labels("a").set(2)
    Gauge("odd", "d", registry=registry).set(float("nan"))
    Counter("calls", "d", registry=registry).inc(3)
    timing = Histogram("took", "d", registry=registry)
    timing.observe(1)
    timing.observe(3)
    form = consul_form(registry.collect(), 0)
    assert form["Timestamp"] == "1970-01-01 00:00:00 +0000 UTC"
    assert form["Gauges"] == [{"Name": "depth", "Value": 2.0, "Labels": {"queue": "a"}}]
    zeros = {"Rate": 0, "Min": 0, "Max": 0, "Stddev": 0, "Labels": {}}
    assert form["Counters"] == [{"Name": "calls", "Count": 3, "Sum": 3.0, "Mean": 1.0, **zeros}]
    assert form["Samples"] == [{"Name": "took", "Count": 2, "Sum": 4.0, "Mean": 2.0, **zeros}]
    assert form["Points"] == []


def test_the_agents_own_counts_are_among_them() -> None:
    """Services, and checks by state, in both forms; a histogram without observations has no mean."""
    text = prometheus_text(scene()).decode()
    assert "linkspan_agent_services 1.0\n" in text
    assert 'linkspan_agent_checks{status="critical"} 1.0\n' in text
    assert "process_" in text or "python_" in text
    shown = {
        (one["Name"], *one["Labels"].values()): one["Value"] for one in consul_form(all_metrics(scene()), 0)["Gauges"]
    }
    assert shown["linkspan_agent_checks", "critical"] == 1.0
    registry = CollectorRegistry()
    Histogram("idle", "d", registry=registry)
    assert consul_form(registry.collect(), 0)["Samples"][0]["Mean"] == 0
