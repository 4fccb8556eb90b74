"""Puts a DNS server together from settings and a directory: here come the clock and the randomness in."""

import random
import time
from collections.abc import Callable

from catalog.dns.answer.answers import Answers, Shuffle
from catalog.dns.answer.directory import Directory, QueryExecutor
from catalog.dns.answer.responder import Responder
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.serve.recursor import Recursors, parse_recursor
from catalog.dns.serve.server import DnsServer, Fill
from catalog.dns.wire.name import encode_name


def check_settings(settings: DnsSettings) -> DnsSettings:
    """The settings, judged.

    Raises:
        ValueError: a domain or a recursor is none.
    """
    for domain in (settings.domain, settings.alt_domain):
        encode_name(domain.strip("."))
    if not settings.domain.strip("."):
        raise ValueError("DNS answers for a domain: an empty one is the whole internet")
    for recursor in settings.recursors:
        parse_recursor(recursor)
    return settings


def make_server(
    settings: DnsSettings,
    directory: Directory,
    *,
    queries: QueryExecutor | None = None,
    fill: Fill | None = None,
    shuffle: Shuffle = random.shuffle,
    now: Callable[[], float] = time.time,
) -> DnsServer:
    """A server that answers from `directory`, filled by `fill` when it raises NotHeldError.

    Raises:
        ValueError: a domain or a recursor of the settings is none.
    """
    answers = Answers(settings, directory, shuffle, queries)
    recursors = Recursors(settings.recursors, settings.recursor_timeout_s) if settings.recursors else None
    return DnsServer(Responder(settings, answers, now), recursors, fill)
