"""Consul's spelling."""

import pytest

from catalog.api.v1.naming import consul_name


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("id", "ID"),
        ("service_id", "ServiceID"),
        ("enable_tag_override", "EnableTagOverride"),
        ("tls_skip_verify", "TLSSkipVerify"),
        ("ttl", "TTL"),
        ("node", "Node"),
    ],
)
def test_names_are_camel_case_with_acronyms_in_capitals(name: str, spelled: str) -> None:
    assert consul_name(name) == spelled
