"""How many connections one peer may hold on this proxy, judged once it is known who comes. Pure.

What counts is counted from what stands, so there is no second book that could be wrong. Three bounds:

- by certificate (SPIFFE ID and serial), trunks: every proxy has a key, and so a serial, of its own, which neither a gateway on the way nor a
  new address changes. A proxy of ours holds up to four trunks to an instance, across networks for each subset that it calls; twice
  that while trunks that were asked to leave finish their streams.
- by certificate, connections of peers that are not Linkspan: they need one for each exchange under way.
- by SPIFFE ID, everything: who fetches one certificate after the other for a service that it may speak for still leaves room to the
  others. All instances of a service share it, so it is nearly the bound of the proxy as a whole.
"""

from collections.abc import Iterable

import msgspec

from mesh.identity.peer import Peer
from mesh.proxy.settings import Limits


class Refusal(msgspec.Struct, frozen=True):
    """Why a peer gets no further connection: `reason` is the metric's label, `text` one line for both sides' logs."""

    reason: str
    text: str


def find_refusal(
    peer: Peer, trunks: Iterable[Peer], others: Iterable[Peer], limits: Limits, *, is_trunk: bool
) -> Refusal | None:
    """The refusal for one more connection of `peer` beside the `trunks` and the `others` that stand; None: it may come in."""
    of_service = of_certificate = 0
    for stands_as_trunk, standing in ((True, trunks), (False, others)):
        for one in standing:
            if one.spiffe_id == peer.spiffe_id:
                of_service += 1
                of_certificate += one.serial == peer.serial and stands_as_trunk is is_trunk
    most = limits.trunks_a_certificate if is_trunk else limits.foreign_a_certificate
    if of_certificate >= most:
        kind = "trunks" if is_trunk else "connections"
        return Refusal(f"peer_{kind}", f"its certificate {peer.serial} holds {of_certificate} {kind} already")
    if of_service >= limits.connections_a_service:
        return Refusal("service", f"its service holds {of_service} connections already")
    return None
