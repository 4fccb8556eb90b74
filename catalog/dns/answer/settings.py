"""What an operator sets for DNS: Consul's `dns_config` and what stands beside it. Values only, with Consul's defaults."""

from collections.abc import Mapping

import msgspec

from catalog.dns.wire.record import Soa

EVERY = "*"
TEN_YEARS_S = 87600 * 3600.0


class DnsSettings(msgspec.Struct, frozen=True):
    """How names are answered.

    `service_ttl_s` is by service name, by `prefix*`, or `*` for all others. `udp_answer_limit` bounds answers over UDP to
    askers without EDNS; `enable_truncate` tells them so by the TC bit. `a_record_limit` bounds A and AAAA answers
    everywhere, 0 is no bound. `max_stale_s` is how old what an agent last knew may be.
    """

    domain: str = "consul"
    alt_domain: str = ""
    datacenter: str = "dc1"
    node_ttl_s: int = 0
    service_ttl_s: Mapping[str, int] = msgspec.field(default_factory=dict)
    only_passing: bool = False
    enable_truncate: bool = False
    udp_answer_limit: int = 3
    a_record_limit: int = 0
    node_meta_txt: bool = True
    disable_compression: bool = False
    max_stale_s: float = TEN_YEARS_S
    soa: Soa = Soa()
    recursors: tuple[str, ...] = ()
    recursor_timeout_s: float = 2.0

    def ttl_of(self, service: str) -> int:
        """Seconds that an answer about a service may be kept: the exact name, else the longest prefix, else `*`."""
        exact = self.service_ttl_s.get(service)
        if exact is not None:
            return exact
        prefixes = (key for key in self.service_ttl_s if key.endswith(EVERY) and service.startswith(key[:-1]))
        longest = max(prefixes, key=len, default=None)
        return 0 if longest is None else self.service_ttl_s[longest]
