"""The door for config entries: strict reading, canonical JSON, and errors that name the field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.compile.config_entries import (
    KINDS,
    ConfigEntryError,
    check_kind,
    decode_entry,
    decode_source,
    entry_body,
    entry_kind,
    stored_entry,
)
from catalog.compile.entries.reader import idle_fields
from tests.fakes.certificate_pair import make_pair

GOOD: list[dict[str, Any]] = [
    {"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
    {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "grpc", "anything": [1, {"x": None}]}},
    {"Kind": "mesh", "Name": "mesh", "HTTP": {"SanitizeXForwardedClientCert": False}},
    {
        "Kind": "service-router",
        "Name": "web",
        "Routes": [
            {
                "Match": {
                    "HTTP": {
                        "PathPrefix": "/admin",
                        "CaseInsensitive": True,
                        "Header": [{"Name": "x-debug", "Present": True}],
                        "QueryParam": [{"Name": "v", "Exact": "2"}],
                        "Methods": ["GET"],
                    }
                },
                "Destination": {
                    "Service": "admin",
                    "PrefixRewrite": "/",
                    "RequestTimeout": "10s",
                    "NumRetries": 3,
                    "RetryOn": ["5xx"],
                    "RetryOnStatusCodes": [429],
                    "RequestHeaders": {"Set": {"x-a": "b"}, "Remove": ["x-c"]},
                },
            }
        ],
    },
    {"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 90.5, "ServiceSubset": "v1"}, {"Weight": 9.5}]},
    {
        "Kind": "service-resolver",
        "Name": "web",
        "DefaultSubset": "v1",
        "Subsets": {"v1": {"Filter": "Service.Meta.version == v1", "OnlyPassing": True}},
        "Failover": {"*": {"Targets": [{"Service": "backup"}], "Policy": {"Mode": "sequential"}}},
        "ConnectTimeout": "1.5s",
    },
    {
        "Kind": "service-intentions",
        "Name": "web",
        "Meta": {"owner": "team"},
        "Sources": [{"Name": "api", "Action": "allow", "Precedence": 9, "Type": "consul"}],
    },
    {
        "Kind": "exported-services",
        "Name": "default",
        "Services": [{"Name": "web", "Consumers": [{"Network": "k8s-east"}, {"Network": "*"}, {"Peer": "west"}]}],
    },
    {
        "Kind": "ingress-gateway",
        "Name": "edge",
        "Listeners": [
            {
                "Port": 8080,
                "Protocol": "http",
                "Services": [
                    {"Name": "web", "Hosts": ["web.example.com"], "MaxConnections": 7},
                    {"Name": "*"},
                ],
            }
        ],
    },
    {
        "Kind": "terminating-gateway",
        "Name": "exit",
        "Services": [{"Name": "db", "CAFile": "/ca.pem", "SNI": "db.example.com"}, {"Name": "*"}],
    },
    {
        "Kind": "api-gateway",
        "Name": "api",
        "Listeners": [
            {
                "Name": "main",
                "Hostname": "*.example.com",
                "Port": 443,
                "Protocol": "http",
                "TLS": {"Certificates": [{"Kind": "inline-certificate", "Name": "site"}], "MinVersion": "TLSv1_2"},
                "Default": {"JWT": {"Providers": [{"Name": "okta"}]}},
            }
        ],
    },
    {
        "Kind": "http-route",
        "Name": "site",
        "Parents": [{"Kind": "api-gateway", "Name": "api", "SectionName": "main"}],
        "Hostnames": ["www.example.com", "*.example.com"],
        "Rules": [
            {
                "Filters": {"URLRewrite": {"Path": "/"}, "TimeoutFilter": {"RequestTimeout": "5s"}},
                "Matches": [{"Path": {"Match": "prefix", "Value": "/v1"}, "Method": "GET"}],
                "Services": [{"Name": "web", "Weight": 10}],
            }
        ],
    },
    {
        "Kind": "tcp-route",
        "Name": "raw",
        "Parents": [{"Kind": "api-gateway", "Name": "api"}],
        "Services": [{"Name": "db"}],
    },
    {
        "Kind": "jwt-provider",
        "Name": "okta",
        "JSONWebKeySet": {"Remote": {"URI": "https://keys.example.com/jwks", "CacheDuration": "5m0s"}},
        "Issuer": "okta",
        "Locations": [{"Header": {"Name": "authorization", "ValuePrefix": "Bearer "}}, {"Cookie": {"Name": "jwt"}}],
        "ClockSkewSeconds": 30,
    },
    {"Kind": "inline-certificate", "Name": "site", **make_pair()},
    {"Kind": "file-system-certificate", "Name": "files", "Certificate": "/c.pem", "PrivateKey": "/k.pem"},
]


@pytest.mark.parametrize("body", GOOD, ids=[body["Kind"] for body in GOOD])
def test_canonical(body: dict[str, Any]) -> None:
    """A canonical body comes back as it went in, plain JSON, and reads as the same entry."""
    entry = decode_entry(body)
    assert entry_body(entry) == body
    assert msgspec.json.decode(msgspec.json.encode(entry_body(entry))) == body
    assert stored_entry(entry_body(entry)) == entry
    assert entry_kind(entry) == body["Kind"]


def test_every_kind_is_tested() -> None:
    """The list above holds every kind that is carried out."""
    assert {body["Kind"] for body in GOOD} == set(KINDS)


def _snake(value: Any) -> Any:
    opaque = {"Meta", "Config", "Set", "Subsets", "Failover"}
    if isinstance(value, list):
        return [_snake(part) for part in value]
    if not isinstance(value, dict):
        return value
    names = {
        "HTTP": "http",
        "SanitizeXForwardedClientCert": "sanitize_x_forwarded_client_cert",
        "CAFile": "ca_file",
        "SNI": "sni",
        "TLS": "tls",
        "JWT": "jwt",
        "URLRewrite": "url_rewrite",
        "JSONWebKeySet": "json_web_key_set",
        "URI": "uri",
    }
    return {
        names.get(key) or "".join(f"_{c.lower()}" if c.isupper() else c for c in key).lstrip("_"): part
        if key in opaque
        else _snake(part)
        for key, part in value.items()
    }


@pytest.mark.parametrize("body", GOOD, ids=[body["Kind"] for body in GOOD])
def test_snake_case(body: dict[str, Any]) -> None:
    """The spelling of Consul's files is read as well, and comes out in CamelCase; the keys of free maps stay."""
    assert entry_body(decode_entry(_snake(body))) == body


def test_what_consul_prints_is_read() -> None:
    """Indexes, default namespaces, nulls and empty blocks in what Consul exports do no harm and are not kept."""
    body = {
        "Kind": "service-defaults",
        "Name": "web",
        "Namespace": "default",
        "Partition": "default",
        "Protocol": "HTTP",
        "TransparentProxy": {},
        "MeshGateway": {"Mode": ""},
        "Expose": {"Checks": False, "Paths": None},
        "EnvoyExtensions": None,
        "Meta": None,
        "CreateIndex": 7,
        "ModifyIndex": 9,
        "Hash": 12345,
    }
    assert entry_body(decode_entry(body)) == {
        "Kind": "service-defaults",
        "Name": "web",
        "Protocol": "http",
        "TransparentProxy": {},
        "MeshGateway": {},
        "Expose": {},
    }


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ({}, "Kind"),
        ({"Kind": 3}, "Kind"),
        ({"Kind": "jwt-provider", "Name": "x"}, "Local or Remote"),
        ({"Kind": "sameness-group", "Name": "x"}, "sameness-group"),
        ({"Kind": "control-plane-request-limit", "Name": "x"}, "control-plane-request-limit"),
        ({"Kind": "bound-api-gateway", "Name": "x"}, "bound-api-gateway"),
        ({"Kind": "service-defaults"}, "Name"),
        ({"Kind": "service-defaults", "Name": ""}, "Name"),
        ({"Kind": "service-defaults", "Name": "Web"}, "Name"),
        ({"Kind": "service-defaults", "Name": 5}, "Name"),
        ({"Kind": "service-defaults", "Name": "web", "Protocol": "smtp"}, "Protocol"),
        ({"Kind": "service-defaults", "Name": "web", "Protocol": True}, "Protocol"),
        ({"Kind": "service-defaults", "Name": "web", "Protcol": "http"}, "Protcol"),
        ({"Kind": "service-defaults", "Name": "web", "Protocol": "http", "protocol": "tcp"}, "twice"),
        ({"Kind": "service-defaults", "Name": "web", "MutualTLSMode": "lax"}, "MutualTLSMode"),
        ({"Kind": "service-defaults", "Name": "web", "MaxInboundConnections": -5}, "MaxInboundConnections"),
        ({"Kind": "service-defaults", "Name": "web", "RateLimits": {"InstanceLevel": {}, "X": 1}}, "RateLimits"),
        ({"Kind": "service-defaults", "Name": "web", "Namespace": "team"}, "Namespace"),
        ({"Kind": "service-defaults", "Name": "web", "Meta": {"a": 1}}, "Meta"),
        ({"Kind": "service-defaults", "Name": "web", "Meta": {"a": "x" * 600}}, "Meta"),
        ({"Kind": "service-defaults", "Name": "web", "Meta": {str(i): "" for i in range(65)}}, "Meta"),
        ({"Kind": "proxy-defaults", "Name": "web"}, "global"),
        ({"Kind": "proxy-defaults", "Config": {"protocol": 5}}, "Config.protocol"),
        ({"Kind": "mesh", "Name": "other"}, "mesh"),
        ({"Kind": "mesh", "TLS": {"Incoming": {"TLSMinVersion": "SSLv3"}}}, "TLS"),
        ({"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": "100"}]}, "Splits[0].Weight"),
        ({"Kind": "service-splitter", "Name": "web", "Splits": {"Weight": 100}}, "Splits"),
        ({"Kind": "service-splitter", "Name": "web", "Splits": [5]}, "Splits[0]"),
        ({"Kind": "service-resolver", "Name": "web", "ConnectTimeout": "5 s"}, "ConnectTimeout"),
        ({"Kind": "service-resolver", "Name": "web", "ConnectTimeout": 1.5}, "ConnectTimeout"),
        (
            {"Kind": "service-router", "Name": "web", "Routes": [{"Match": {"HTTP": {"Pathz": 1}}}]},
            "Routes[0].Match.HTTP.Pathz",
        ),
    ],
)
def test_refused(body: object, named: str) -> None:
    """What cannot be read is 400, what breaks a rule 500 (Consul's statuses); the text names the field."""
    with pytest.raises(ConfigEntryError) as caught:
        decode_entry(body)
    assert caught.value.status in {400, 500}
    assert named in str(caught.value)


def test_single_entries_need_no_name() -> None:
    """The kinds of which there is one get its name."""
    assert decode_entry({"Kind": "mesh"}).name == "mesh"
    assert decode_entry({"kind": "proxy-defaults", "name": ""}).name == "global"


def test_check_kind() -> None:
    """A kind that is not carried out is refused with those that are."""
    assert check_kind("service-router") == "service-router"
    with pytest.raises(ConfigEntryError, match="service-router"):
        check_kind("udp-route")
    assert check_kind("bound-api-gateway", reading=True) == "bound-api-gateway"
    with pytest.raises(ConfigEntryError, match="catalog alone"):
        check_kind("bound-api-gateway")


@pytest.mark.parametrize(
    ("body", "idle"),
    [
        ({"Kind": "service-defaults", "Name": "web", "Protocol": "http", "Expose": {"Checks": False}}, []),
        ({"Kind": "service-defaults", "Name": "web", "MaxInboundConnections": 5}, ["MaxInboundConnections"]),
        (
            {"Kind": "service-resolver", "Name": "web", "LoadBalancer": {"Policy": "maglev"}},
            ["LoadBalancer.Policy"],
        ),
        (
            {"Kind": "exported-services", "Name": "default", "Services": [{"Name": "*", "Consumers": [{"Peer": "a"}]}]},
            ["Services[0].Consumers[0].Peer"],
        ),
        (
            {
                "Kind": "service-intentions",
                "Name": "web",
                "Sources": [{"Name": "a", "Permissions": [{"Action": "allow", "JWT": {"Providers": [{"Name": "x"}]}}]}],
            },
            ["Sources[0].Permissions[0].JWT"],
        ),
    ],
)
def test_what_nobody_acts_on_is_told(body: dict[str, Any], idle: list[str]) -> None:
    """A setting that is kept without effect is named to its writer; an empty one is not."""
    assert idle_fields(decode_entry(body)) == idle


def test_decode_source() -> None:
    """The body of the exact endpoint: names come from the query, Consul's other fields are read over."""
    body = {"SourceName": "other", "DestinationName": "x", "SourceType": "consul", "Action": "allow", "Precedence": 1}
    source = decode_source(body, "web", "api")
    assert (source.name, source.action, source.precedence) == ("api", "allow", 9)
    assert decode_source({"Action": "deny"}, "*", "*").precedence == 5


@pytest.mark.parametrize(
    ("body", "destination", "named"),
    [
        ([], "web", "JSON object"),
        ({}, "web", "Action"),
        ({"Action": "maybe"}, "web", "Action"),
        ({"Action": "allow", "Extra": 1}, "web", "Extra"),
        ({"Action": "allow", "SourceType": "jwt"}, "web", "Type"),
        ({"Action": "allow", "Meta": {"a": "b"}}, "web", "Meta"),
        ({"Action": "allow", "SourcePeer": "east"}, "web", "Peer"),
        ({"Action": "allow", "Permissions": [{"Action": "allow", "HTTP": {"PathExact": "/"}}]}, "web", "either"),
        ({"Permissions": [{"Action": "allow", "HTTP": {"PathExact": "/"}}]}, "*", "wildcard"),
        ({"Permissions": [{"Action": "allow", "HTTP": {"PathExact": "/"}, "JWT": {"Providers": [1]}}]}, "web", "JWT"),
        ({"Action": "allow"}, "we b", "Name"),
    ],
)
def test_decode_source_refused(body: object, destination: str, named: str) -> None:
    """Errors of the exact endpoint name the field too."""
    with pytest.raises(ConfigEntryError) as caught:
        decode_source(body, destination, "api")
    assert caught.value.status in {400, 500}
    assert named in str(caught.value)


_KEYS = st.sampled_from(
    [
        "Kind",
        "Name",
        "Routes",
        "Splits",
        "Weight",
        "Subsets",
        "Match",
        "HTTP",
        "Header",
        "Sources",
        "Action",
        "Permissions",
        "Services",
        "Consumers",
        "Failover",
        "Redirect",
        "ConnectTimeout",
        "Config",
        "Meta",
        "Filter",
        "Destination",
        "Network",
        "Peer",
        "JWT",
        "Providers",
        "Listeners",
        "Port",
        "Protocol",
        "TLS",
        "Certificates",
        "Hosts",
        "Parents",
        "Hostnames",
        "Rules",
        "Matches",
        "Path",
        "Value",
        "JSONWebKeySet",
        "Local",
        "Remote",
        "URI",
        "LoadBalancer",
        "Policy",
        "HashPolicies",
        "UpstreamConfig",
        "Overrides",
        "Expose",
        "Paths",
        "Certificate",
        "PrivateKey",
        "junk",
    ]
)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=12,
)


@given(st.sampled_from(KINDS), st.dictionaries(_KEYS, _JSON, max_size=5))
@settings(max_examples=400, deadline=None)
def test_any_json(kind: str, body: dict[str, Any]) -> None:
    """Any JSON gives an entry whose canonical form reads as itself, or a `ConfigEntryError`."""
    try:
        entry = decode_entry({**body, "Kind": kind, "Name": "web"})
    except ConfigEntryError:
        return
    assert stored_entry(entry_body(entry)) == entry
