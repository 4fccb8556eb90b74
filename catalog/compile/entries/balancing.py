"""The `LoadBalancer` part of a service-resolver: how one instance out of several is picked."""

from typing import ClassVar

import msgspec

from catalog.compile.entries.connection import check_choice, check_not_negative, refuse
from catalog.compile.entries.duration import Duration
from catalog.compile.entries.reader import EntryValue

POLICIES = frozenset({"", "random", "round_robin", "least_request", "ring_hash", "maglev"})
HASHING = frozenset({"ring_hash", "maglev"})
FIELDS = frozenset({"", "header", "cookie", "query_parameter"})
MAX_HASH_POLICIES = 64
MAX_RING_SIZE = 8 * 1024 * 1024


class RingHashConfig(EntryValue, frozen=True):
    """How large the ring is."""

    minimum_ring_size: int = 0
    maximum_ring_size: int = 0


class LeastRequestConfig(EntryValue, frozen=True):
    """How many instances are looked at."""

    choice_count: int = 0


class CookieConfig(EntryValue, frozen=True):
    """The cookie that is made where there is none."""

    session: bool = False
    ttl: Duration | None = msgspec.field(name="TTL", default=None)
    path: str = ""


class HashPolicy(EntryValue, frozen=True):
    """What of a request is hashed."""

    field: str = ""
    field_value: str = ""
    cookie_config: CookieConfig | None = None
    source_ip: bool = msgspec.field(name="SourceIP", default=False)
    terminal: bool = False


class LoadBalancer(EntryValue, frozen=True):
    """How one instance out of several is picked."""

    policy: str = ""
    ring_hash_config: RingHashConfig | None = None
    least_request_config: LeastRequestConfig | None = None
    hash_policies: tuple[HashPolicy, ...] = ()

    idle: ClassVar[tuple[str, ...]] = ("Policy", "RingHashConfig", "LeastRequestConfig", "HashPolicies")


def check_balancer(balancer: LoadBalancer | None) -> None:
    """A policy that Consul knows, with the settings that go with it alone.

    Raises:
        ConfigEntryError: status 500.
    """
    if balancer is None:
        return
    check_choice(balancer.policy, POLICIES, "LoadBalancer.Policy")
    _check_settings(balancer)
    if balancer.hash_policies and balancer.policy not in HASHING:
        raise refuse("LoadBalancer.HashPolicies go with Policy 'ring_hash' or 'maglev' alone")
    if len(balancer.hash_policies) > MAX_HASH_POLICIES:
        raise refuse(f"LoadBalancer.HashPolicies holds more than {MAX_HASH_POLICIES}")
    for i, policy in enumerate(balancer.hash_policies):
        _check_hash(policy, f"LoadBalancer.HashPolicies[{i}]")


def _check_settings(balancer: LoadBalancer) -> None:
    ring, least = balancer.ring_hash_config, balancer.least_request_config
    if ring is not None:
        if balancer.policy != "ring_hash":
            raise refuse("LoadBalancer.RingHashConfig goes with Policy 'ring_hash' alone")
        for name, size in (("MinimumRingSize", ring.minimum_ring_size), ("MaximumRingSize", ring.maximum_ring_size)):
            if not 0 <= size <= MAX_RING_SIZE:
                raise refuse(f"LoadBalancer.RingHashConfig.{name} must be from 0 to {MAX_RING_SIZE}")
    if least is not None:
        if balancer.policy != "least_request":
            raise refuse("LoadBalancer.LeastRequestConfig goes with Policy 'least_request' alone")
        check_not_negative(least.choice_count, "LoadBalancer.LeastRequestConfig.ChoiceCount")


def _check_hash(policy: HashPolicy, at: str) -> None:
    check_choice(policy.field, FIELDS, f"{at}.Field")
    if policy.source_ip and (policy.field or policy.field_value):
        raise refuse(f"{at} hashes one thing: SourceIP or a Field")
    if not policy.source_ip and not (policy.field and policy.field_value):
        raise refuse(f"{at} must set Field and FieldValue, or SourceIP")
    if policy.cookie_config is not None:
        if policy.field != "cookie":
            raise refuse(f"{at}.CookieConfig goes with Field 'cookie' alone")
        cookie = policy.cookie_config
        if cookie.session and cookie.ttl is not None and cookie.ttl.nanoseconds:
            raise refuse(f"{at}.CookieConfig: a Session cookie has no TTL")
        check_not_negative(cookie.ttl.nanoseconds if cookie.ttl is not None else 0, f"{at}.CookieConfig.TTL")
