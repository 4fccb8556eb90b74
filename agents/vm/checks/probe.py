"""The probes themselves: HTTP, TCP, UDP, HTTP/2, systemd units and scripts, each with its time-out and bounded output.

A probe never raises for what the probed side does: refusal, time-out and rubbish are results. Scripts run only when the
operator allowed them (`--enable-script-checks`).
"""

import os
import signal
import subprocess
from http import HTTPStatus
from typing import Protocol

import trio

from agents.vm.checks.datagram_probe import datagram
from agents.vm.checks.h2_probe import SERVING, STATES, health, ping
from agents.vm.checks.http_probe import ProbeFailedError, ask, tls_context
from agents.vm.checks.result import Result
from agents.vm.checks.unit_probe import unit_state
from agents.vm.definition.duration import format_duration
from agents.vm.definition.values import (
    GrpcProbe,
    H2PingProbe,
    HttpProbe,
    OsServiceProbe,
    RunProbe,
    ScriptProbe,
    TcpProbe,
    UdpProbe,
)
from agents.vm.local.state import bounded
from mesh.model.endpoint import Health

EXIT_WARNING = 1

_FAILURES = (ProbeFailedError, OSError, trio.BrokenResourceError, UnicodeError)


class Prober(Protocol):
    """The seam of the runner: real probes here, scripted ones in tests."""

    async def run(self, probe: RunProbe, output_max_bytes: int) -> Result:
        """Run `probe` once, within its own time-out."""
        ...


class EdgeProber:
    """The real probes."""

    def __init__(self, *, enable_scripts: bool = False, systemctl: str = "systemctl") -> None:
        self._enable_scripts = enable_scripts
        self._systemctl = systemctl

    async def run(self, probe: RunProbe, output_max_bytes: int) -> Result:
        """Run `probe` once, within its own time-out."""
        try:
            with trio.fail_after(probe.timeout_s):
                result = await self._dispatch(probe, output_max_bytes)
        except trio.TooSlowError:
            after = format_duration(probe.timeout_s)
            what = (
                f"Timed out ({after}) running check" if isinstance(probe, ScriptProbe) else f"timed out after {after}"
            )
            result = Result(Health.CRITICAL, what)
        return Result(result.status, bounded(result.output, output_max_bytes))

    async def _dispatch(self, probe: RunProbe, output_max_bytes: int) -> Result:
        match probe:
            case HttpProbe():
                return await _http(probe, output_max_bytes)
            case ScriptProbe() if not self._enable_scripts:
                return Result(Health.CRITICAL, "script checks are off: start the agent with --enable-script-checks")
            case ScriptProbe():
                return await _script(probe, output_max_bytes)
            case OsServiceProbe():
                return await unit_state(probe, self._systemctl)
            case _:
                return await _connect(probe)


async def _connect(probe: TcpProbe | UdpProbe | GrpcProbe | H2PingProbe) -> Result:
    match probe:
        case TcpProbe():
            return await _tcp(probe)
        case UdpProbe():
            return await _udp(probe)
        case GrpcProbe():
            return await _grpc(probe)
        case H2PingProbe():
            return await _h2ping(probe)


async def _http(probe: HttpProbe, output_max_bytes: int) -> Result:
    try:
        answer = await ask(probe, output_max_bytes)
    except _FAILURES as error:
        return Result(Health.CRITICAL, f"{probe.method} {probe.url}: {_why(error)}")
    text = f"HTTP {probe.method} {probe.url}: {answer.status} {answer.reason} Output: {answer.body}"
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Result(Health.PASSING, text)
    return Result(Health.WARNING if answer.status == HTTPStatus.TOO_MANY_REQUESTS else Health.CRITICAL, text)


async def _tcp(probe: TcpProbe) -> Result:
    where = f"{probe.host}:{probe.port}"
    try:
        stream = await trio.open_tcp_stream(probe.host, probe.port)
        async with stream:
            if probe.use_tls:
                tls = trio.SSLStream(
                    stream,
                    tls_context(skip_verify=probe.tls_skip_verify),
                    server_hostname=probe.tls_server_name or probe.host,
                    https_compatible=True,
                )
                await tls.do_handshake()
    except (OSError, trio.BrokenResourceError) as error:
        return Result(Health.CRITICAL, f"dial tcp {where}: {_why(error)}")
    return Result(Health.PASSING, f"TCP connect {where}: Success")


async def _udp(probe: UdpProbe) -> Result:
    try:
        await datagram(probe)
    except _FAILURES as error:
        return Result(Health.CRITICAL, f"udp {probe.host}:{probe.port}: {_why(error)}")
    return Result(Health.PASSING, f"UDP connect {probe.host}:{probe.port}: Success")


async def _grpc(probe: GrpcProbe) -> Result:
    try:
        state = await health(probe)
    except _FAILURES as error:
        return Result(Health.CRITICAL, f"gRPC check {probe.target}: {_why(error)}")
    if state != SERVING:
        return Result(Health.CRITICAL, f"gRPC {probe.target} serving status: {STATES[state]}")
    return Result(Health.PASSING, f"gRPC check {probe.target}: success")


async def _h2ping(probe: H2PingProbe) -> Result:
    try:
        await ping(probe)
    except _FAILURES as error:
        return Result(Health.CRITICAL, f"HTTP2 ping {probe.host}:{probe.port}: {_why(error)}")
    return Result(Health.PASSING, "HTTP2 ping was successful")


async def _script(probe: ScriptProbe, output_max_bytes: int) -> Result:
    try:
        process = await trio.lowlevel.open_process(
            list(probe.args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except (OSError, ValueError) as error:
        return Result(Health.CRITICAL, f"cannot run {probe.args[0][:120]!r}: {_why(error)}")
    assert process.stdout is not None
    kept = bytearray()
    try:
        async for piece in process.stdout:
            if len(kept) < output_max_bytes:  # the rest is read, so that the script can end, and dropped
                kept += piece[: output_max_bytes - len(kept)]
        code = await process.wait()
    finally:
        _kill_group(process)
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()
    status = {0: Health.PASSING, EXIT_WARNING: Health.WARNING}.get(code, Health.CRITICAL)
    return Result(status, kept.decode("utf-8", "replace"))


def _kill_group(process: trio.Process) -> None:
    """End the script and whatever it started; its own session makes them one group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # all of them ended on their own


def _why(error: BaseException) -> str:
    """The innermost reason in one line."""
    cause = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return (str(cause) or type(cause).__name__).splitlines()[0][:300]
