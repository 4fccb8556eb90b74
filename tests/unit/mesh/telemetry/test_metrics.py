"""Metrics: Prometheus text that a scraper takes, counters that count, and a bound on labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mesh.telemetry.metrics import DURATION_BUCKETS_S, MAX_CHILDREN, OTHER, Metrics

LABELS = ("reporter", "source", "destination")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of the text, read by the official client's parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def labels(**values: str) -> tuple[tuple[str, str], ...]:
    """Labels as `samples` has them."""
    return tuple(sorted(values.items()))


def test_a_request_is_counted_once_in_each_series() -> None:
    """Status, duration and both directions of bytes."""
    metrics = Metrics()
    series = metrics.request_series("source", "web", "api")
    series.count(200, 0.003, 10, 20)
    series.count(200, 0.3, 1, 2)
    series.count(503, 60.0, 0, 0)
    pair = {"reporter": "source", "source": "web", "destination": "api"}
    found = samples(metrics)
    assert found["linkspan_requests_total", labels(**pair, status="200")] == 2
    assert found["linkspan_requests_total", labels(**pair, status="503")] == 1
    assert found["linkspan_request_bytes_total", labels(**pair)] == 11
    assert found["linkspan_response_bytes_total", labels(**pair)] == 22
    assert found["linkspan_request_duration_seconds_count", labels(**pair)] == 3
    assert found["linkspan_request_duration_seconds_sum", labels(**pair)] == pytest.approx(60.303)
    buckets = [
        found["linkspan_request_duration_seconds_bucket", labels(**pair, le=le)]
        for le in ("0.0025", "0.005", "10", "+Inf")
    ]
    assert buckets == [0, 1, 2, 3]


def test_a_duration_on_a_bound_belongs_to_its_bucket() -> None:
    """`le` means less or equal."""
    metrics = Metrics()
    for bound in DURATION_BUCKETS_S:
        metrics.request_series("source", "web", "api").count(200, bound, 0, 0)
    text = metrics.render().decode()
    for number, bound in enumerate(DURATION_BUCKETS_S, 1):
        assert f'le="{bound:g}"}} {number}\n' in text


def test_the_same_pair_is_the_same_series() -> None:
    """Callers may ask again instead of keeping what they got."""
    metrics = Metrics()
    assert metrics.request_series("source", "a", "b") is metrics.request_series("source", "a", "b")
    assert metrics.stream_series("source", "a", "b") is metrics.stream_series("source", "a", "b")
    assert metrics.denied.child("a", "b") is metrics.denied.child("a", "b")


def test_labels_are_bounded_and_what_is_over_the_bound_is_lumped_together() -> None:
    """A flood of names costs a bounded number of series, and nothing is lost in the sum."""
    metrics = Metrics()
    for number in range(MAX_CHILDREN + 500):
        metrics.denied.child(f"source-{number}", "api").value += 1
    found = {key: value for key, value in samples(metrics).items() if key[0] == "linkspan_denied_total"}
    assert len(found) == MAX_CHILDREN + 1
    assert sum(found.values()) == MAX_CHILDREN + 500
    assert found["linkspan_denied_total", labels(source=OTHER, destination=OTHER)] == 500


def test_a_wrong_number_of_labels_is_refused() -> None:
    """An error of ours, told where it is made and not at the scrape."""
    with pytest.raises(ValueError, match="linkspan_denied_total has the labels"):
        Metrics().denied.child("one")


def test_computed_gauges_are_asked_at_the_scrape_and_may_be_absent() -> None:
    """None leaves the sample out."""
    metrics = Metrics()
    metrics.catalog_index.compute = lambda: 42
    metrics.config_age.compute = lambda: None
    found = samples(metrics)
    assert found["linkspan_catalog_index", ()] == 42
    assert ("linkspan_config_age_seconds", ()) not in found


@given(st.text(max_size=30), st.text(max_size=30))
def test_fuzz_any_label_is_read_back_as_it_was(source: str, destination: str) -> None:
    """Quotes, backslashes and line feeds in a name neither break the text nor add a sample."""
    metrics = Metrics()
    metrics.denied.child(source, destination).value += 7
    lines = [line for line in metrics.render().decode().split("\n") if line.startswith("linkspan_denied_total{")]
    assert len(lines) == 1
    escaped = [text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for text in (source, destination)]
    assert lines[0] == f'linkspan_denied_total{{source="{escaped[0]}",destination="{escaped[1]}"}} 7'
