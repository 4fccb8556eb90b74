"""What an operator sets for a catalog process. Values only."""

from pathlib import Path
from typing import Any

import msgspec

from catalog.access.acl.settings import ON, AclSettings
from catalog.access.kubernetes import Cluster
from catalog.api.http.serve import DEFAULT_LIMITS, Limits
from catalog.authority.rules import LEAF_TTL_S
from catalog.dns.answer.settings import DnsSettings

DEFAULT_HTTP = "127.0.0.1:8500"
DEFAULT_MESH = "0.0.0.0:8502"
DEFAULT_DATACENTER = "dc1"
OPERATOR_FILE = "operator.token"
STORE_FILE = "catalog.db"


class KubernetesAccess(msgspec.Struct, frozen=True):
    """How a cluster's API server is reached: its URL, CA file, and the file of our own token (read anew for each call)."""

    url: str
    ca_file: Path
    token_file: Path


class Settings(msgspec.Struct, frozen=True):
    """One catalog. `http` empty: no plain port; `dns` empty: no DNS. `trust_domain` None: the one the data holds, or a new one.

    `allowed_hosts` are names that the plain port answers to beside loopback's own.
    `publish_roots` is the `namespace/name` of the ConfigMap that holds the trust bundle in the cluster, empty: none.
    """

    data_dir: Path
    datacenter: str = DEFAULT_DATACENTER
    trust_domain: str | None = None
    http: str = DEFAULT_HTTP
    mesh: str = DEFAULT_MESH
    node: str = "catalog"
    address: str = "127.0.0.1"
    limits: Limits = DEFAULT_LIMITS
    cluster: Cluster | None = None
    kubernetes: KubernetesAccess | None = None
    publish_roots: str = ""
    allowed_hosts: tuple[str, ...] = ()
    leaf_ttl_s: float = LEAF_TTL_S
    dns: str = ""
    dns_settings: DnsSettings = DnsSettings()
    acl: AclSettings = ON
    node_meta: dict[str, str] = {}
    entries: tuple[dict[str, Any], ...] = ()
