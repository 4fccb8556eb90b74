"""Puts the agent's DNS together: the catalog's answers over the lists that the agent holds."""

from collections.abc import Mapping

from agents.vm.api.forward import Upstream
from agents.vm.dns.directory import HeldDirectory
from agents.vm.dns.held import HeldLists
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.serve.made import make_server
from catalog.dns.serve.server import DnsServer


def make_names(settings: DnsSettings, upstream: Upstream, tokens: Mapping[str, str]) -> DnsServer:
    """A server that asks `upstream` with the agent's `tokens`, and answers from what it last said while it is away.

    Raises:
        ValueError: a domain or a recursor of the settings is none.
    """
    held = HeldLists(upstream, tokens, settings.max_stale_s)
    directory = HeldDirectory(held.read)
    return make_server(settings, directory, queries=directory, fill=held.fill)
