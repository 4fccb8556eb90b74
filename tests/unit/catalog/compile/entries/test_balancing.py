"""The load balancer of a resolver: Consul's rules."""

from typing import Any

import pytest

from catalog.compile.entries.balancing import LoadBalancer, check_balancer
from catalog.compile.entries.reader import ConfigEntryError, read_value


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Policy": "random"},
        {"Policy": "least_request", "LeastRequestConfig": {"ChoiceCount": 3}},
        {"Policy": "ring_hash", "RingHashConfig": {"MinimumRingSize": 10, "MaximumRingSize": 20}},
        {
            "Policy": "maglev",
            "HashPolicies": [
                {"Field": "cookie", "FieldValue": "id", "CookieConfig": {"TTL": "5s", "Path": "/"}},
                {"Field": "header", "FieldValue": "x-user", "Terminal": True},
                {"SourceIP": True},
            ],
        },
    ],
)
def test_good(fields: dict[str, Any]) -> None:
    """Settings with the policy that they belong to."""
    check_balancer(read_value(fields, LoadBalancer))
    check_balancer(None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"Policy": "fair"}, "Policy"),
        ({"Policy": "random", "RingHashConfig": {}}, "RingHashConfig"),
        ({"Policy": "ring_hash", "RingHashConfig": {"MinimumRingSize": -1}}, "MinimumRingSize"),
        ({"Policy": "maglev", "LeastRequestConfig": {}}, "LeastRequestConfig"),
        ({"Policy": "least_request", "LeastRequestConfig": {"ChoiceCount": -1}}, "ChoiceCount"),
        ({"Policy": "random", "HashPolicies": [{"SourceIP": True}]}, "HashPolicies"),
        ({"Policy": "maglev", "HashPolicies": [{"Field": "path", "FieldValue": "x"}]}, "HashPolicies[0].Field"),
        ({"Policy": "maglev", "HashPolicies": [{"Field": "header"}]}, "HashPolicies[0]"),
        ({"Policy": "maglev", "HashPolicies": [{"SourceIP": True, "Field": "header", "FieldValue": "x"}]}, "one thing"),
        (
            {"Policy": "maglev", "HashPolicies": [{"Field": "header", "FieldValue": "x", "CookieConfig": {}}]},
            "CookieConfig",
        ),
        (
            {
                "Policy": "maglev",
                "HashPolicies": [
                    {"Field": "cookie", "FieldValue": "x", "CookieConfig": {"Session": True, "TTL": "1s"}}
                ],
            },
            "Session",
        ),
        ({"Policy": "maglev", "HashPolicies": [{"SourceIP": True}] * 65}, "more than"),
    ],
)
def test_refused(fields: dict[str, Any], named: str) -> None:
    """What does not go together is refused, by name."""
    with pytest.raises(ConfigEntryError) as caught:
        check_balancer(read_value(fields, LoadBalancer))
    assert (caught.value.status, named in str(caught.value)) == (500, True)
