"""Auth methods of type `jwt`: a signed web token, verified with the keys that the method holds (RFC 7519, 7515, 7517).

Only asymmetric signatures count, and only those that the method names: a token cannot choose to be unsigned or to be
signed with a public key as a password. Time is an argument. Facts: Consul's JWT auth method page.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from catalog.access.login.identity import Identity, ProofError
from catalog.compile.entries.duration import InvalidDurationError, parse_duration

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA")
MAX_TOKEN = 16 * 1024
MAX_KEYS = 64
DEFAULT_LEEWAY = "150s"
DEFAULT_SKEW = "60s"


class JwtConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """`Config` of a method of type jwt. `JWKS` is our own: the document itself, since none is fetched."""

    jwt_validation_pub_keys: tuple[str, ...] = msgspec.field(default=(), name="JWTValidationPubKeys")
    jwks: dict[str, Any] = msgspec.field(default_factory=dict, name="JWKS")
    jwt_supported_algs: tuple[str, ...] = msgspec.field(default=("RS256",), name="JWTSupportedAlgs")
    bound_audiences: tuple[str, ...] = ()
    bound_issuer: str = ""
    claim_mappings: dict[str, str] = msgspec.field(default_factory=dict)
    list_claim_mappings: dict[str, str] = msgspec.field(default_factory=dict)
    expiration_leeway: str = DEFAULT_LEEWAY
    not_before_leeway: str = DEFAULT_LEEWAY
    clock_skew_leeway: str = DEFAULT_SKEW


class MethodError(ValueError):
    """The writer's fault: the method's configuration cannot be used; the text names the field."""


_ELSEWHERE = ("JWKSURL", "JWKSCACert", "OIDCDiscoveryURL", "OIDCDiscoveryCACert")


def read_jwt_config(config: Mapping[str, Any]) -> JwtConfig:
    """The configuration of a method of type jwt.

    Raises:
        MethodError: it cannot be used.
    """
    for field in _ELSEWHERE:
        if config.get(field):
            raise MethodError(
                f"{field}: keys are not fetched: put the document into JWKS, or keys into JWTValidationPubKeys"
            )
    try:
        read = msgspec.convert(
            {key: value for key, value in config.items() if value and key not in _ELSEWHERE}, JwtConfig
        )
    except msgspec.ValidationError as error:
        raise MethodError(str(error)) from error
    if bool(read.jwt_validation_pub_keys) == bool(read.jwks):
        raise MethodError("exactly one of JWTValidationPubKeys and JWKS must be set")
    wrong = [name for name in read.jwt_supported_algs if name not in ALGORITHMS]
    if wrong:
        raise MethodError(f"JWTSupportedAlgs: {wrong[0][:20]!r} is none of {', '.join(ALGORITHMS)}")
    targets = [*read.claim_mappings.values(), *read.list_claim_mappings.values()]
    if len(set(targets)) < len(targets):
        raise MethodError("ClaimMappings and ListClaimMappings: two claims have the same name")
    for text in (read.expiration_leeway, read.not_before_leeway, read.clock_skew_leeway):
        _seconds(text)
    if not list(_keys(read, "")):
        raise MethodError("JWKS: it holds no key")
    return read


def prove(config: JwtConfig, token: str, now_s: float) -> Identity:
    """Who a web token says its holder is.

    Raises:
        ProofError: it is none, not signed by a key of the method, not for us, or its time is not now.
    """
    claims = _verified(config, token)
    _check_time(config, claims, now_s)
    if config.bound_issuer and claims.get("iss") != config.bound_issuer:
        raise ProofError("the issuer is not the one that the method is bound to")
    audience = claims.get("aud", [])
    audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    if config.bound_audiences and not set(config.bound_audiences) & {one for one in audiences if isinstance(one, str)}:
        raise ProofError("it is for none of the audiences that the method is bound to")
    values = {target: _text(_claim(claims, source)) for source, target in config.claim_mappings.items()}
    lists = {target: _texts(_claim(claims, source)) for source, target in config.list_claim_mappings.items()}
    return Identity({"value": values, "list": lists}, {f"value.{name}": value for name, value in values.items()})


def _verified(config: JwtConfig, token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN or not token.isascii():
        raise ProofError("it is no web token")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise ProofError("it is no web token") from error
    algorithm, key_id = header.get("alg"), header.get("kid", "")
    if algorithm not in config.jwt_supported_algs:
        raise ProofError("it is signed in a way that the method does not take")
    for key in _keys(config, key_id if isinstance(key_id, str) else ""):
        try:
            payload = jwt.PyJWS().decode_complete(token, key, algorithms=[algorithm])["payload"]
            claims = msgspec.json.decode(payload)
        except (jwt.PyJWTError, msgspec.DecodeError, TypeError, ValueError, RecursionError):
            continue  # of another key, or of another kind of key
        if isinstance(claims, dict):
            return claims
    raise ProofError("no key of the method has signed it")


def _keys(config: JwtConfig, key_id: str) -> Iterator[Any]:
    """The keys that could have signed a token that names `key_id` (empty: none)."""
    if config.jwks:
        entries = config.jwks.get("keys")
        if not isinstance(entries, list) or len(entries) > MAX_KEYS:
            raise MethodError(f"JWKS: it must hold a list `keys` of at most {MAX_KEYS}")
        for entry in entries:
            if not isinstance(entry, dict) or entry.get("kty") == "oct" or "d" in entry:  # `d`: RFC 7518 6.2.2, 6.3.2
                raise MethodError("JWKS: every key must be a public one")
            if key_id and entry.get("kid", key_id) != key_id:
                continue
            try:
                yield jwt.PyJWK(entry, entry.get("alg") or _algorithm(entry)).key
            except (jwt.PyJWTError, TypeError, ValueError) as error:
                raise MethodError(f"JWKS: a key cannot be read: {error}") from error
    if len(config.jwt_validation_pub_keys) > MAX_KEYS:
        raise MethodError(f"JWTValidationPubKeys: at most {MAX_KEYS}")
    for pem in config.jwt_validation_pub_keys:
        try:
            yield load_pem_public_key(pem.encode())
        except ValueError as error:
            raise MethodError(f"JWTValidationPubKeys: a key is no public key in PEM: {error}") from error


def _algorithm(entry: Mapping[str, Any]) -> str:
    curve = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
    return "RS256" if entry.get("kty") == "RSA" else curve.get(str(entry.get("crv")), "ES256")


def _check_time(config: JwtConfig, claims: Mapping[str, Any], now_s: float) -> None:
    """Consul's rules: one of `exp`, `nbf`, `iat` must be there; what is missing is taken from the others."""
    issued, not_before, expires = (_number(claims.get(name)) for name in ("iat", "nbf", "exp"))
    if not (issued or not_before or expires):
        raise ProofError("it says nothing about its time")
    if not expires:
        expires = max(issued, not_before) + _seconds(config.expiration_leeway)
    if not not_before:
        not_before = issued or expires - _seconds(config.not_before_leeway)
    skew_s = _seconds(config.clock_skew_leeway)
    if now_s > expires + skew_s:
        raise ProofError("its time is over")
    if now_s < max(not_before, issued) - skew_s:
        raise ProofError("its time has not come")


def _number(value: object) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise ProofError("a time in it is no number")
    return float(value)


def _seconds(text: str) -> float:
    try:
        return max(0.0, parse_duration(text).seconds)
    except InvalidDurationError as error:
        raise MethodError(str(error)) from error


def _claim(claims: Mapping[str, Any], source: str) -> Any:
    """A claim by its name, or by a JSON pointer (RFC 6901)."""
    if not source.startswith("/"):
        return claims.get(source)
    here: Any = claims
    for part in source.split("/")[1:]:
        here = here.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(here, dict) else None
    return here


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _texts(value: object) -> list[str]:
    return [_text(one) for one in (value if isinstance(value, list) else [value]) if _text(one)]
