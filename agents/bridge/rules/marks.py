"""Marks: how a bridge knows its own, and how every bridge knows what a bridge has written.

Nodes and instances carry them in their meta, intentions in their description (Consul gives no writable meta to exact
intentions). Pure text and values.
"""

import hashlib
import re
from collections.abc import Mapping

import msgspec

BRIDGE_META = "linkspan-bridge"
ORIGIN_META = "linkspan-bridge-origin"
CLUSTER_META = "linkspan-bridge-cluster"
NODE_META = "linkspan-bridge-node"
CHECK_PREFIX = "bridge:"
"""Mirrored checks have it before their ID: Consul removes nodes whose `serfHealth` it did not write itself."""

MAX_LABEL = 63
MAX_DESCRIPTION_BYTES = 512
_HASH_CHARS = 8
_WRITTEN = re.compile(r"\[linkspan-bridge (\S+) from ([^\s/]+)/(\S*)\]")
_NOT_IN_LABEL = re.compile(r"[^a-z0-9-]+")


class Identity(msgspec.Struct, frozen=True):
    """Which catalog it is: its datacenter, and the trust domain of its mesh; empty if it has none."""

    datacenter: str
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.datacenter} ({self.cluster or 'no mesh'})"


class Mark(msgspec.Struct, frozen=True):
    """What one mirror writes on what it makes: the bridge's name and the catalog that it comes from."""

    bridge: str
    origin: Identity

    def node_meta(self, node: str) -> dict[str, str]:
        """The mark on a mirrored node; `node` is its name at the source."""
        return {**self.instance_meta(), CLUSTER_META: self.origin.cluster, NODE_META: node}

    def instance_meta(self) -> dict[str, str]:
        """The mark on a mirrored instance."""
        return {BRIDGE_META: self.bridge, ORIGIN_META: self.origin.datacenter}


def is_marked(meta: Mapping[str, str]) -> bool:
    """Whether any bridge wrote the node or instance with this meta."""
    return BRIDGE_META in meta


def node_origin(meta: Mapping[str, str]) -> Identity:
    """The catalog that a marked node comes from."""
    return Identity(meta.get(ORIGIN_META, ""), meta.get(CLUSTER_META, ""))


def mirrored_node(node: str, mark: Mark) -> str:
    """The name that a node has at the target: `<node>-<origin>-<hash>`, a DNS label of at most 63 characters.

    The hash is over bridge, origin and the whole name, so that neither cutting nor another bridge makes two alike.
    """
    whole = repr((mark.bridge, mark.origin.datacenter, mark.origin.cluster, node.lower()))
    end = hashlib.sha256(whole.encode()).hexdigest()[:_HASH_CHARS]
    origin = _label(mark.origin.datacenter)[:20].strip("-")
    room = MAX_LABEL - len(origin) - len(end) - 2
    begin = _label(node)[:room].strip("-")
    return "-".join(part for part in (begin, origin, end) if part)


def _label(text: str) -> str:
    return _NOT_IN_LABEL.sub("-", text.lower()).strip("-")


def describe(description: str, mark: Mark) -> str:
    """An intention's description with the mark behind it, cut to what Consul takes."""
    written = f"[linkspan-bridge {mark.bridge} from {mark.origin.datacenter}/{mark.origin.cluster}]"
    room = max(0, MAX_DESCRIPTION_BYTES - len(written.encode()) - 1)
    kept = description.encode()[:room].decode(errors="ignore").strip()
    return f"{kept} {written}" if kept else written


def description_mark(description: str) -> Mark | None:
    """The mark in an intention's description; None: no bridge wrote it."""
    found = _WRITTEN.search(description)
    return Mark(found[1], Identity(found[2], found[3])) if found else None
