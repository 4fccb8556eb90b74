"""python-consul2's API on trio: what agents and scripts talk to the catalog with.

    import catalog.client as linkspan

    async with linkspan.Consul() as c:
        index, instances = await c.health.service("web")
        index, instances = await c.health.service("web", index=index, wait="30s")

Every family of python-consul2 is there unchanged, its calls awaited; `c.linkspan` adds what only Linkspan serves.
It must never know the catalog's inside: it speaks HTTP, to Linkspan or to Consul.
"""

from consul.base import (
    ACLDisabled,
    ACLPermissionDenied,
    BadRequest,
    Check,
    ClientError,
    ConsulException,
    NotFound,
    Timeout,
)

from catalog.client.address import Address, InvalidAddressError, parse_address
from catalog.client.client import Consul
from catalog.client.http import UnreachableError

__all__ = [
    "ACLDisabled",
    "ACLPermissionDenied",
    "Address",
    "BadRequest",
    "Check",
    "ClientError",
    "Consul",
    "ConsulException",
    "InvalidAddressError",
    "NotFound",
    "Timeout",
    "UnreachableError",
    "parse_address",
]
