"""`/v1/discovery-chain/:service`: GET, and POST with overrides. Blocks on what the chain was made from, and no more."""

from typing import Any

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.chain.shape import chain_json
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, RefusedError
from catalog.api.sight import Sight
from catalog.compile.discovery import NO_OVERRIDES, ChainError, Overrides, compile_discovery
from catalog.compile.entries.connection import MESH_GATEWAY_MODES
from catalog.compile.entries.defaults import PROTOCOLS
from catalog.compile.entries.duration import Duration, InvalidDurationError, parse_duration
from catalog.state.state import State
from mesh.model.names import InvalidNameError, check_label


class MeshGatewayBody(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """The mode that replaces every target's."""

    mode: str = ""


class OverridesBody(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """The body of a POST."""

    override_protocol: str = ""
    override_connect_timeout: str | int = ""
    override_mesh_gateway: MeshGatewayBody = MeshGatewayBody()


class ChainEndpoints:
    """The family `/v1/discovery-chain`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/discovery-chain/{service}": {
                "GET": Method(self.get, IN_HANDLER),
                "POST": Method(self.post, IN_HANDLER),
            }
        }

    async def get(self, call: Call) -> Answer:
        """The chain as the entries say it."""
        return await self._answer(call, NO_OVERRIDES)

    async def post(self, call: Call) -> Answer:
        """The chain as the entries and the body's overrides say it; an empty body overrides nothing."""
        body = decode(call.body, OverridesBody, snake_case=True) if call.body.strip() else OverridesBody()
        return await self._answer(call, read_overrides(body))

    async def _answer(self, call: Call, overrides: Overrides) -> Answer:
        service = call.path["service"]
        datacenter = _compile_dc(call) or self._api.datacenter

        def read(_: State) -> Found:
            call.require(Resource.SERVICE, service, Access.READ)
            try:
                graph = compile_discovery(self._api.entries, service, datacenter, overrides)
            except ChainError as error:
                raise RefusedError(str(error)) from error
            shown: dict[str, Any] = {"Chain": chain_json(graph, self._api.authority.trust_domain)}
            # Consul: sleeps through what changes nothing here, and answers its index.
            return Sight(call).found(shown, ("config",))

        return await answer_read(self._api.parking, call, read, quiet=True)


def read_overrides(body: OverridesBody) -> Overrides:
    """The overrides of a body.

    Raises:
        BadRequestError: a word or a duration that Consul does not know.
    """
    protocol, mode = body.override_protocol.lower(), body.override_mesh_gateway.mode
    if protocol and protocol not in PROTOCOLS:
        raise BadRequestError(
            f"Request decode failed: OverrideProtocol {protocol[:40]!r} is none of tcp, http, http2, grpc"
        )
    if mode not in MESH_GATEWAY_MODES:
        raise BadRequestError(f"Request decode failed: Invalid value for OverrideMeshGateway.Mode: {mode[:40]!r}")
    timeout: Duration | None = None
    if body.override_connect_timeout:
        try:
            timeout = parse_duration(body.override_connect_timeout)
        except InvalidDurationError as error:
            raise BadRequestError(f"Request decode failed: OverrideConnectTimeout: {error}") from error
    return Overrides(protocol, timeout, mode)


def _compile_dc(call: Call) -> str:
    name = call.query.first("compile-dc").lower()
    if name:
        try:
            check_label(name, "compile-dc")
        except InvalidNameError as error:
            raise BadRequestError(f"Invalid query parameter: {error}") from error
    return name
