"""Certificates for local proxies: the request is judged by what is registered on this host, then passed on as this node.

The key stays with the proxy; the authority judges again by what the node was granted. It must never pass on a request for
a name that this host does not run.
"""

from typing import Protocol

from cryptography import x509

from agents.vm.local.forms import NETWORK_META, NodeFacts
from agents.vm.local.state import LocalState
from mesh.model.identity import InvalidIdentityError, Kind, SpiffeId, parse_spiffe_id
from mesh.wire.sync import LeafResponse

MAX_CSR_BYTES = 16 * 1024
GATEWAY_KIND = "mesh-gateway"


class LeafRefusedError(Exception):
    """The proxy may not have the certificate it asks for; the text says why and what would help."""


class LeafCaller(Protocol):
    """The way to the authority."""

    async def leaf(self, csr_pem: str) -> LeafResponse:
        """A certificate for the request; raises SyncError."""
        ...


def asked_identity(csr_pem: str) -> SpiffeId:
    """The identity a certificate request asks for.

    Raises:
        LeafRefusedError: it is no request, is not signed by its own key, or has not exactly one SPIFFE ID.
    """
    if len(csr_pem) > MAX_CSR_BYTES:
        raise LeafRefusedError(f"the certificate request is larger than {MAX_CSR_BYTES} bytes")
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode("ascii"))
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        if len(uris) != 1 or len(names) != 1:
            raise LeafRefusedError("the certificate request must hold exactly one name: its SPIFFE ID")
        return parse_spiffe_id(uris[0])
    except InvalidIdentityError as error:
        raise LeafRefusedError(str(error)) from error
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise LeafRefusedError(f"the certificate request cannot be read: {str(error)[:200]}") from error


def check_runs_here(asked: SpiffeId, state: LocalState, node: NodeFacts, trust_domain: str) -> None:
    """Judge whether this host runs what a proxy asks a certificate for. Pure.

    Raises:
        LeafRefusedError: it does not.
    """
    if (asked.trust_domain, asked.datacenter) != (trust_domain, node.datacenter):
        raise LeafRefusedError(f"{asked} is of another trust domain or datacenter than this host")
    kinds = {(entry.definition.kind, entry.definition.name) for entry in state.services.values()}
    if asked.kind is Kind.SERVICE:
        if ("", asked.name) not in kinds:
            raise LeafRefusedError(f"service {asked.name!r} is not registered on this host: register it first")
    elif asked.kind is Kind.GATEWAY:
        if asked.name != node.meta.get(NETWORK_META, "default"):
            raise LeafRefusedError(f"this host is not in network {asked.name!r}")
        if not any(kind == GATEWAY_KIND for kind, _ in kinds):
            raise LeafRefusedError("no mesh gateway is registered on this host: register it first")
    else:
        raise LeafRefusedError(f"a proxy may not have a certificate of a {asked.kind}")
