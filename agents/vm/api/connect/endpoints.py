"""`/v1/agent/connect/ca/roots`, `ca/leaf/:service` and `authorize`."""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import msgspec

from agents.vm.api.call import Answer, Call, CallError, Endpoint, json_answer
from agents.vm.api.connect.leaves import KeptLeaf, Leaves
from agents.vm.api.forward import find_token
from agents.vm.api.host import Host
from agents.vm.api.rights import Ask, require
from agents.vm.definition.keys import read_struct
from mesh.model.identity import InvalidIdentityError, Kind, SpiffeId, parse_spiffe_id
from mesh.model.names import InvalidNameError, check_label

_NO_KEYS = (
    "Permission denied: a private key is given to the holder of a token with service:write on {!r}, "
    "or through the agent's Unix socket"
)


class AuthorizeShape(msgspec.Struct):
    """The body of `authorize`: who wants to connect to what."""

    target: str = ""
    client_cert_uri: str = ""
    client_cert_serial: str = ""


class _Allowed(msgspec.Struct, frozen=True, rename="pascal"):
    allowed: bool = False


class _Trust(msgspec.Struct, frozen=True, rename="pascal"):
    trust_domain: str = ""


class Connect:
    """The handlers."""

    def __init__(self, host: Host, leaves: Leaves | None = None) -> None:
        self._host = host
        self._leaves = leaves or Leaves(host)

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {
            "/v1/agent/connect/ca/roots": Endpoint(GET=self.roots),
            "/v1/agent/connect/ca/leaf/{service}": Endpoint(GET=self.leaf),
            "/v1/agent/connect/authorize": Endpoint(POST=self.authorize),
        }

    async def roots(self, call: Call) -> Answer:
        """The trust bundle, as the catalog has it; blocking by index."""
        asked = urlencode([(name, call.query[name]) for name in ("index", "wait") if name in call.query])
        passed = await self._host.catalog("GET", "/v1/connect/ca/roots" + (f"?{asked}" if asked else ""))
        kept = tuple((name, value) for name, value in passed.headers if name.lower().startswith("x-consul-"))
        content_type = next((value for name, value in passed.headers if name == "content-type"), "text/plain")
        return Answer(passed.status, passed.body, content_type, kept)

    async def leaf(self, call: Call) -> Answer:
        """A service's certificate with its private key; blocking by index until it is renewed."""
        service = call.path["service"]
        try:
            check_label(service, "service")
        except InvalidNameError as error:
            raise CallError(400, f"Invalid service name: {error}") from error
        ask = Ask("service", service, "write")
        if self._host.rights.enabled:
            await require(self._host.rights, call, ask)
        elif self._host.key_rights.enabled and not (await self._host.key_rights.judge(find_token(call), [ask]))[0]:
            raise CallError(403, _NO_KEYS.format(service))
        after = call.query.get("index", "0")
        if not after.isascii() or not after.isdigit():
            raise CallError(400, f"Invalid index: {after[:40]!r}")
        kept = await self._leaves.leaf(service, int(after[:18]), call.wait_s())
        return json_answer(leaf_form(service, kept), headers=(("x-consul-index", str(kept.index)),))

    async def authorize(self, call: Call) -> Answer:
        """Whether a connection may be made: the certificate's name against the catalog's intentions.

        What depends on requests (L7 permissions) is not allowed here, as in Consul.
        """
        asked = read_struct(call.json(), AuthorizeShape)
        if not asked.target:
            raise CallError(400, "Target service must be specified")
        try:
            client = parse_spiffe_id(asked.client_cert_uri)
        except InvalidIdentityError as error:
            raise CallError(400, f"ClientCertURI not a valid Connect identifier: {error}") from error
        await require(self._host.rights, call, Ask("service", asked.target, "write"))
        if refusal := await self._stranger(client, find_token(call)):
            return json_answer({"Authorized": False, "Reason": refusal})
        pair = f"source={quote(client.name, safe='')}&destination={quote(asked.target, safe='')}"
        passed = await self._host.catalog("GET", f"/v1/connect/intentions/check?{pair}", token=find_token(call))
        if passed.status != 200:
            raise CallError(passed.status, passed.body.decode("utf-8", "replace"))
        allowed = msgspec.json.decode(passed.body, type=_Allowed).allowed
        verdict = "allow" if allowed else "deny"
        reason = f"Intentions and default policy for {client.name} => {asked.target}: {verdict}"
        return json_answer({"Authorized": allowed, "Reason": reason})

    async def _stranger(self, client: SpiffeId, token: str) -> str:
        """Why a certificate's name is none of this mesh's services; empty if it is one."""
        if client.kind is not Kind.SERVICE:
            return f"the certificate is a {client.kind}'s, not a service's"
        passed = await self._host.catalog("GET", "/v1/connect/ca/roots", token=token)
        if passed.status != 200:
            raise CallError(503, "the catalog does not say which trust domain is this mesh's")
        ours = msgspec.json.decode(passed.body, type=_Trust).trust_domain
        if client.trust_domain != ours:
            return f"Identity from an external trust domain: {client.trust_domain}"
        return ""


def leaf_form(service: str, kept: KeptLeaf) -> dict[str, object]:
    """A leaf as Consul shows it."""
    leaf = kept.response
    return {
        "SerialNumber": ":".join(_pairs(leaf.serial)),
        "CertPEM": leaf.certificate_pem,
        "PrivateKeyPEM": kept.key_pem,
        "Service": service,
        "ServiceURI": leaf.uri,
        "ValidAfter": _when(leaf.not_before_s),
        "ValidBefore": _when(leaf.not_after_s),
        "CreateIndex": kept.create_index,
        "ModifyIndex": kept.index,
    }


def _pairs(serial: str) -> list[str]:
    """The bytes of a serial number in hexadecimal, as Consul writes them."""
    plain = serial.replace(":", "").lower()
    plain = plain.zfill(len(plain) + len(plain) % 2)
    return [plain[first : first + 2] for first in range(0, len(plain), 2)]


def _when(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
