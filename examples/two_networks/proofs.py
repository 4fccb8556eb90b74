"""What the demo claims, each claim shown by traffic that was observed. A proof returns its evidence or raises ProofError."""

import re
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import trio
from cryptography import x509

from examples.two_networks import load
from examples.two_networks.world import (
    API,
    DB,
    EAST,
    GATEWAY_ADMIN,
    LEAF_TTL_S,
    NETWORKS,
    PARIS,
    TRUST_DOMAIN,
    WORKLOADS,
    World,
    api_client,
    split,
    start_workload,
)

URL = f"http://{API}"
CANARY_REQUESTS = 2000
GATEWAY_BYTES = "linkspan_gateway_(?:received|sent)_bytes_total"


class ProofError(Exception):
    """What was claimed was not observed."""


def hold(claim: bool, otherwise: str) -> None:
    """Raise ProofError with `otherwise` unless `claim` holds."""
    if not claim:
        raise ProofError(otherwise)


async def metric(address: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples whose labels agree."""
    async with httpx2.AsyncClient(timeout=5) as client:
        text = (await client.get(f"http://{address}/metrics")).text
    total = 0.0
    for line in text.splitlines():
        match = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if match and all(f'{key}="{value}"' in (match[1] or "") for key, value in labels.items()):
            total += float(match[2])
    return total


async def put_entry(world: World, body: dict[str, Any]) -> None:
    """Write one config entry."""
    async with api_client(world) as client:
        answer = await client.put("/v1/config", json=body)
        hold(answer.status_code == 200, f"the catalog refused {body['Kind']}: {answer.text}")


async def wait_until(what: str, is_so: Callable[[], Awaitable[bool]], timeout_s: float) -> float:
    """How long it took until `is_so`, in seconds."""
    began = time.monotonic()
    while not await is_so():
        hold(time.monotonic() - began < timeout_s, f"{what} did not happen within {timeout_s:g} s")
        await trio.sleep(0.01)
    return time.monotonic() - began


async def status_of(method: str, path: str = "/") -> int:
    """The status of one request from web to api."""
    async with httpx2.AsyncClient(timeout=10) as client:
        try:
            return (await client.request(method, f"{URL}{path}")).status_code
        except httpx2.HTTPError:
            return 0


async def registered(world: World) -> str:
    """Services registered from both networks."""
    found = {}
    async with api_client(world) as client:
        for service in ("web", "api", "db"):
            for one in (await client.get(f"/v1/health/service/{service}?passing")).json():
                found[one["Service"]["ID"]] = one["Node"]["Meta"].get("linkspan-network", "")
    wanted = {workload.name: workload.network for workload in WORKLOADS}
    hold(found == wanted, f"expected {wanted}, the catalog has {found}")
    return ", ".join(f"{name} in {network}" for name, network in sorted(found.items()))


async def through_gateway(world: World) -> str:
    """A call from vm-paris to a service in k8s-east goes through the gateway."""
    before = await metric(GATEWAY_ADMIN[EAST.name], GATEWAY_BYTES, service="api")
    async with httpx2.AsyncClient(timeout=10) as client:
        said = (await client.get(f"{URL}/hello")).json()
    hold(said["instance"].startswith("api-"), f"somebody else answered: {said}")

    async def moved() -> bool:
        return await metric(GATEWAY_ADMIN[EAST.name], GATEWAY_BYTES, service="api") > before

    await wait_until("a byte at the gateway of k8s-east", moved, 5)
    after = await metric(GATEWAY_ADMIN[EAST.name], GATEWAY_BYTES, service="api")
    return f"{said['instance']} answered web; {after - before:.0f} bytes more at the gateway of {EAST.name}"


async def identities(world: World) -> str:
    """Mutual TLS 1.3 with a SPIFFE ID on both sides; TLS 1.2 is refused."""
    source, destination = (f"spiffe://{TRUST_DOMAIN}/ns/default/dc/dc1/svc/{name}" for name in ("web", "api"))
    async with httpx2.AsyncClient(timeout=10) as client:
        said = (await client.get(URL)).json()
    hold(f"URI={source}" in said["caller"], f"the application was told that {said['caller']!r} called")
    hold(f"By={destination}" in said["caller"], f"the application was told that {said['caller']!r} called")
    inbound = next(one.inbound for one in WORKLOADS if one.name == said["instance"])
    version, shown = await _look(inbound, ssl.TLSVersion.TLSv1_3)
    hold(version == "TLSv1.3" and destination in shown, f"{inbound} spoke {version} and showed {shown}")
    refused, _ = await _look(inbound, ssl.TLSVersion.TLSv1_2)
    hold(refused == "", f"{inbound} took {refused}")
    return f"{version}, {source} -> {destination}; TLS 1.2 refused"


async def _look(address: str, at_most: ssl.TLSVersion) -> tuple[str, list[str]]:
    """The TLS version and the URIs of the certificate that an address shows to anyone; empty when it refuses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, at_most
    try:
        stream = await trio.open_ssl_over_tcp_stream(*split(address), ssl_context=context)
        await stream.do_handshake()
    except trio.BrokenResourceError:
        return "", []
    certificate = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
    version = str(stream.version())
    await trio.aclose_forcefully(stream)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return version, names.get_values_for_type(x509.UniformResourceIdentifier)


async def deny_bites(world: World) -> str:
    """An intention from allow to deny refuses new connections and cuts the open one within a second."""
    stream = await trio.open_tcp_stream(*split(DB))
    async with stream:
        hold((await stream.receive_some(100)).startswith(b"hello"), "db did not greet")
        await stream.send_all(b"ping")
        hold(await stream.receive_some(4) == b"ping", "db did not answer")
        began = time.monotonic()
        await put_entry(
            world, {"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "web", "Action": "deny"}]}
        )
        cut_s = float("inf")
        with trio.move_on_after(5):
            try:
                if await stream.receive_some(1) == b"":
                    cut_s = time.monotonic() - began
            except trio.BrokenResourceError:
                cut_s = time.monotonic() - began
    hold(cut_s < 1, f"the open connection was cut after {cut_s:.2f} s")
    again = await trio.open_tcp_stream(*split(DB))
    async with again:
        with trio.fail_after(5):
            try:
                greeting = await again.receive_some(100)
            except trio.BrokenResourceError:
                greeting = b""
    hold(greeting == b"", "a new connection was let through")
    refused_s = time.monotonic() - began
    await put_entry(
        world, {"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "web", "Action": "allow"}]}
    )
    hold(refused_s < 1, f"the new connection was refused after {refused_s:.2f} s")
    return f"open connection cut after {cut_s * 1000:.0f} ms, a new one refused by {refused_s * 1000:.0f} ms"


async def l7_permission(world: World) -> str:
    """GET is allowed, POST gets 403."""
    rule = {"Action": "allow", "HTTP": {"PathPrefix": "/", "Methods": ["GET"]}}
    await put_entry(
        world, {"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Permissions": [rule]}]}
    )

    async def refused() -> bool:
        return await status_of("POST") == 403

    took_s = await wait_until("403 for POST", refused, 5)
    get = await status_of("GET")
    hold(get == 200, f"GET got {get}")
    await put_entry(
        world, {"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Action": "allow"}]}
    )

    async def allowed() -> bool:
        return await status_of("POST") == 200

    await wait_until("POST allowed again", allowed, 5)
    return f"GET 200, POST 403 ({took_s * 1000:.0f} ms after the change)"


async def canary(world: World) -> str:
    """A 90/10 split is met within three points over 2,000 requests."""
    subsets = {version: {"Filter": f'Service.Meta.version == "{version}"'} for version in ("v1", "v2")}
    await put_entry(world, {"Kind": "service-resolver", "Name": "api", "DefaultSubset": "v1", "Subsets": subsets})
    splits = [{"Weight": 90, "ServiceSubset": "v1"}, {"Weight": 10, "ServiceSubset": "v2"}]
    await put_entry(world, {"Kind": "service-splitter", "Name": "api", "Splits": splits})
    await trio.sleep(1)
    tally = await load.many(URL, CANARY_REQUESTS)
    async with api_client(world) as client:
        for kind in ("service-splitter", "service-resolver"):
            (await client.delete(f"/v1/config/{kind}/api")).raise_for_status()
    hold(not tally.failures, f"{len(tally.failures)} requests failed, first: {tally.failures[:1]}")
    share = 100 * tally.answers["api-v2"] / tally.total
    hold(abs(share - 10) <= 3, f"the canary got {share:.1f} %")
    return f"{tally.answers['api-v1']} to v1, {tally.answers['api-v2']} to v2: {share:.1f} % of {tally.total}"


async def instance_killed(world: World) -> str:
    """An instance killed under load costs no request."""
    victim = next(one for one in WORKLOADS if one.name == "api-v2")

    async with load.steady(URL) as tally:
        await wait_until("both instances answering", lambda: _both(tally), 10)
        for name in ("app-api-v2", "proxy-api-v2"):
            await world.stop(name, signal.SIGKILL)
        await trio.sleep(4)
    hold(not tally.failures, f"{len(tally.failures)} of {tally.total} failed, first: {tally.failures[:1]}")
    hold(tally.answers["api-v2"] > 0, "the instance that was killed had answered nothing")
    await start_workload(world, victim)
    return f"{tally.total} requests, 0 failed; {tally.answers['api-v2']} of them answered by api-v2 before kill -9"


async def _both(tally: load.Tally) -> bool:
    return tally.answers["api-v1"] > 20 and tally.answers["api-v2"] > 20


async def catalog_away(world: World) -> str:
    """The catalog is stopped for ten seconds: no request fails, and what changes afterwards arrives."""
    async with load.steady(URL) as tally:
        await world.stop("catalog")
        await trio.sleep(10)
        world.restart("catalog")
        await world.wait_listening("127.0.0.1:8500")
        rule = {"Action": "allow", "HTTP": {"PathPrefix": "/", "Methods": ["GET"]}}
        await put_entry(
            world, {"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Permissions": [rule]}]}
        )

        async def arrived() -> bool:
            return await status_of("POST") == 403

        caught_up_s = await wait_until("a change made after the restart", arrived, 40)
    await put_entry(
        world, {"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Action": "allow"}]}
    )
    hold(not tally.failures, f"{len(tally.failures)} of {tally.total} failed, first: {tally.failures[:1]}")
    return f"{tally.total} requests, 0 failed; a change made after the restart arrived in {caught_up_s:.1f} s"


async def _identity(admin: str) -> dict[str, Any]:
    async with httpx2.AsyncClient(timeout=5) as client:
        found: dict[str, Any] = (await client.get(f"http://{admin}/snapshot")).json()["identity"] or {}
        return found


async def rotation(world: World) -> str:
    """The leaf certificates of all proxies are replaced under load and nothing fails."""
    first = {workload.admin: (await _identity(workload.admin))["serial"] for workload in WORKLOADS}

    async def replaced() -> bool:
        return all([(await _identity(admin))["serial"] != serial for admin, serial in first.items()])

    async with load.steady(URL, pause_s=0.02) as tally:
        took_s = await wait_until("a new certificate for every proxy", replaced, LEAF_TTL_S)
        await trio.sleep(2)
    hold(not tally.failures, f"{len(tally.failures)} of {tally.total} failed, first: {tally.failures[:1]}")
    return f"{len(first)} certificates replaced within {took_s:.0f} s, during {tally.total} requests, 0 failed"


async def blind_gateway(world: World) -> str:
    """The gateways count the bytes of every service and hold no service's key."""
    counted = {}
    for network in NETWORKS:
        counted[network.name] = await metric(GATEWAY_ADMIN[network.name], GATEWAY_BYTES)
        uri = (await _identity(GATEWAY_ADMIN[network.name])).get("uri", "")
        hold("/svc/" not in uri, f"the gateway of {network.name} holds {uri}")
        home = world.root / network.name / "gateway"
        held = [path.name for path in home.rglob("*") if path.is_file() and b"/svc/" in path.read_bytes()]
        hold(
            not [name for name in held if name.endswith((".key", ".pem"))], f"files of services at the gateway: {held}"
        )
    hold(counted[EAST.name] > 0, f"the gateways counted {counted}")
    return f"{counted[EAST.name]:.0f} bytes at {EAST.name}, {counted[PARIS.name]:.0f} at {PARIS.name}; no service key at either"


PROOFS: tuple[Callable[[World], Awaitable[str]], ...] = (
    registered,
    through_gateway,
    identities,
    deny_bites,
    l7_permission,
    canary,
    instance_killed,
    catalog_away,
    rotation,
    blind_gateway,
)
