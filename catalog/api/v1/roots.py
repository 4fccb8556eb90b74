"""`/v1/connect/ca/roots`: the trust bundle, open to everybody: who joins needs it before it is anybody."""

import ssl
from typing import Any

from cryptography import x509

from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, settle
from catalog.api.gate import OPEN
from catalog.api.http.answer import Answer, Meta, json_answer, read_headers
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.state.state import State
from mesh.model.snapshot import Root

PEM = b"application/pem-certificate-chain"


class RootEndpoints:
    """The family `/v1/connect/ca`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {"/v1/connect/ca/roots": {"GET": Method(self.roots, OPEN)}}

    async def roots(self, call: Call) -> Answer:
        """The roots as JSON, or with `?pem` as PEM."""
        found = await settle(self._api.parking, call, self._read)
        meta = Meta(self._api.parking.state.index_of(*found.topics), call.query.consistency)
        if call.query.flag("pem"):
            pem = "".join(f"{root.pem.strip()}\n" for root in found.value.roots)
            return Answer(200, pem.encode(), PEM, read_headers(meta))
        active = next((root.id for root in found.value.roots if root.active), "")
        shown = {
            "ActiveRootID": active,
            "TrustDomain": found.value.trust_domain,
            "Roots": [root_json(root, meta.index) for root in found.value.roots],
        }
        return json_answer(shown, meta, pretty=call.query.pretty)

    def _read(self, _state: State) -> Found:
        return Found(self._api.roots(), (("roots",),))


def root_json(root: Root, index: int) -> dict[str, Any]:
    """One root as Consul shows it."""
    certificate = x509.load_der_x509_certificate(ssl.PEM_cert_to_DER_cert(root.pem))
    key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex(":")
    return {
        "ID": root.id,
        "Name": "Linkspan CA Root Cert",
        "SerialNumber": certificate.serial_number & (2**64 - 1),  # Consul's field is a 64-bit number
        "SigningKeyID": key_id,
        "ExternalTrustDomain": "",
        "NotBefore": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "NotAfter": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "RootCert": root.pem,
        "IntermediateCerts": [],
        "Active": root.active,
        "PrivateKeyType": "ec",
        "PrivateKeyBits": 256,
        "CreateIndex": index,
        "ModifyIndex": index,
    }
