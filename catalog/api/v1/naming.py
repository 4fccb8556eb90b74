"""Consul's spelling of field names: `service_id` is `ServiceID`, `tls_skip_verify` is `TLSSkipVerify`.

Pure text; it must stay the one place where the spelling is made, for bodies read and for bodies printed.
"""

_WHOLE = {
    "id": "ID",
    "http": "HTTP",
    "tcp": "TCP",
    "udp": "UDP",
    "ttl": "TTL",
    "grpc": "GRPC",
    "tls": "TLS",
    "os": "OS",
    "h2ping": "H2PING",
}


def consul_name(name: str) -> str:
    """The CamelCase name of a snake-case field, acronyms in capitals."""
    return "".join(_WHOLE.get(part, part[:1].upper() + part[1:]) for part in name.split("_"))
