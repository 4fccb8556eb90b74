"""The rules for names: services, nodes, networks, datacenters, trust domains.

Pure checks over strings; they must never normalise silently: a name is valid as it stands or it is refused.
Service names follow Consul's rule for mesh services (RFC 1123 label), so that they fit into SNI and DNS.
"""

import re

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NODE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")

ANY = "*"
"""The wildcard name in intentions: every service."""


class InvalidNameError(ValueError):
    """The caller gave a name that breaks the rule its message quotes."""


def check_label(name: str, what: str) -> str:
    """Return `name` if it is an RFC 1123 label of at most 63 characters; `what` names it in the error.

    Raises:
        InvalidNameError: it is not.
    """
    if not _LABEL.fullmatch(name):
        raise InvalidNameError(
            f"{what} {name[:80]!r} must be 1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit"
        )
    return name


def check_node(name: str) -> str:
    """Return `name` if it can name a node: letters, digits, '.', '_' and '-', at most 128 characters.

    Raises:
        InvalidNameError: it cannot.
    """
    if not _NODE.fullmatch(name):
        raise InvalidNameError(
            f"node name {name[:80]!r} must be 1 to 128 letters, digits, '.', '_' or '-', starting and ending with a letter or digit"
        )
    return name


def check_trust_domain(name: str) -> str:
    """Return `name` if it is a SPIFFE trust domain (SPIFFE-ID 2.1: lower-case letters, digits, '.', '-', '_').

    Raises:
        InvalidNameError: it is not.
    """
    if not _TRUST_DOMAIN.fullmatch(name):
        raise InvalidNameError(f"trust domain {name[:80]!r} must be 1 to 255 of a-z, 0-9, '.', '-' and '_'")
    return name
