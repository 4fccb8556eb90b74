"""The load on a catalog, in a process of its own: raw sockets under one epoll, so that the catalog stays the slower side.

A job comes as JSON on stdin (it holds the token, which belongs into no argument), its figures go as JSON to stdout. It must
never count an answer that is not the one asked for: anything else is an error.
"""

import json
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import measure

ANSWER_S = 30.0
"""How long an answer may take before it counts as lost."""
QUIET_S = 0.3
"""Of how long a standstill of the catalog's CPU time it follows that all requests are parked."""


class Line:
    """One kept-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), ANSWER_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inbox = b""
        self.sent_s = 0.0

    def send(self, request: bytes) -> None:
        self.inbox = b""
        self.sent_s = time.perf_counter()
        self.sock.sendall(request)

    def take(self) -> bool:
        """Read what is there; whether the answer is whole.

        Raises:
            ConnectionError: the catalog hung up.
        """
        data = self.sock.recv(262_144)
        if not data:
            raise ConnectionError("the catalog hung up")
        self.inbox += data
        head = self.inbox.find(b"\r\n\r\n")
        return head >= 0 and len(self.inbox) >= head + 4 + int(self.header(b"content-length") or 0)

    def wait(self) -> bytes:
        """The body of the answer, once it is whole."""
        while not self.take():
            pass
        return self.body

    def header(self, name: bytes) -> bytes:
        start = self.inbox.find(b"\r\n" + name + b": ")
        if start < 0:
            return b""
        start += len(name) + 4
        return self.inbox[start : self.inbox.index(b"\r\n", start)]

    @property
    def good(self) -> bool:
        return self.inbox.startswith(b"HTTP/1.1 200")

    @property
    def body(self) -> bytes:
        return self.inbox[self.inbox.index(b"\r\n\r\n") + 4 :]


def http(method: str, path: str, token: str, body: str = "") -> bytes:
    """One request's bytes."""
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-consul-token: {token}\r\n{length}\r\n{body}".encode()


def registration(number: int, service: str, *, node: str = "", port: int = 80) -> str:
    """The body of one registration: an instance of the mesh with a check of its own, on one of 1,000 nodes."""
    node, id_ = node or f"node-{number % 1000}", f"{service}-{number}"
    return json.dumps(
        {
            "Node": node,
            "Address": f"192.0.2.{1 + sum(node.encode()) % 250}",
            "Service": {"Service": service, "ID": id_, "Port": port, "Connect": {"Native": True}},
            "Check": {"Name": "alive", "CheckID": f"alive-{id_}", "ServiceID": id_, "Status": "passing"},
        }
    )


def percentile(values: list[float], share: float) -> float:
    """The value that this share of them is not above; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def closed_loop(lines: list[Line], requests: Iterator[bytes], until_s: float, good: Callable[[Line], bool]) -> Any:
    """Keep every line busy until the time is over or there is no request left."""
    epoll, by_fd = select.epoll(), {line.sock.fileno(): line for line in lines}
    started_s, delays, errors, busy = time.perf_counter(), [], 0, 0
    for line in lines:
        request = next(requests, None)
        if request is not None:
            epoll.register(line.sock.fileno(), select.EPOLLIN)
            line.send(request)
            busy += 1
    while busy:
        for fd, _ in epoll.poll(ANSWER_S) or [(-1, 0)]:
            if fd < 0:
                raise TimeoutError(f"{busy} answers did not come within {ANSWER_S:g} s")
            line = by_fd[fd]
            if not line.take():
                continue
            now_s = time.perf_counter()
            delays.append(now_s - line.sent_s)
            errors += not good(line)
            request = next(requests, None) if now_s - started_s < until_s else None
            if request is None:
                busy -= 1
            else:
                line.send(request)
    took_s = time.perf_counter() - started_s
    return {"done": len(delays), "took_s": took_s, "errors": errors, **delays_ms(delays)}


def delays_ms(delays: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    return {"p50_ms": percentile(delays, 0.5) * 1e3, "p99_ms": percentile(delays, 0.99) * 1e3}


def register(job: Any) -> Any:
    """Registrations of instances that were not there, each answered once it is on disk."""
    numbers = range(job["first"], job["first"] + job.get("count", 10**9))
    services = job["services"]
    requests = (
        http("PUT", "/v1/catalog/register", job["token"], registration(number, services[number % len(services)]))
        for number in numbers
    )
    lines = [Line(job["port"]) for _ in range(job["connections"])]
    return closed_loop(lines, requests, job.get("seconds", 1e9), lambda line: line.good and line.body == b"true")


class Readers:
    """Callers that block until a service changes: by Consul's blocking query, or by a proxy's sync call."""

    def __init__(self, job: Any) -> None:
        self.token, self.service, self.sync, self.pid = job["token"], job["service"], job["sync"], job["pid"]
        self.port = 1000
        self.errors = 0
        self.writer = Line(job["port"])
        self.lines = [Line(job["port"]) for _ in range(job["readers"])]
        self.by_fd = {line.sock.fileno(): line for line in self.lines}
        self.epoll = select.epoll()
        for fd in self.by_fd:
            self.epoll.register(fd, select.EPOLLIN)
        self.seen = dict.fromkeys(self.lines, "" if self.sync else "0")
        for start in range(0, len(self.lines), 500):  # the first read of each, which tells what to wait for
            batch = self.lines[start : start + 500]
            for line in batch:
                line.send(self._request(line, 0))
            self._note(self._gather(len(batch)))

    def park(self) -> None:
        """Send every caller's next request, and return once the catalog has parked them all."""
        for line in self.lines:
            line.send(self._request(line, 60))
        before_s, still_since_s = -1.0, time.perf_counter()
        while time.perf_counter() - still_since_s < QUIET_S:
            now_s = measure.cpu_s(self.pid)
            if now_s - before_s > 0.011:  # one tick is the catalog's own clockwork
                before_s, still_since_s = now_s, time.perf_counter()
            time.sleep(0.02)

    def _request(self, line: Line, wait_s: int) -> bytes:
        if not self.sync:
            blocking = f"?index={self.seen[line]}&wait={wait_s}s" if wait_s else ""
            return http("GET", f"/v1/health/service/{self.service}{blocking}", self.token)
        want = {"name": f"endpoints/{self.service}", "version": self.seen[line]}
        return http("POST", "/v1/linkspan/sync", self.token, json.dumps({"wants": [want], "wait_s": wait_s}))

    def _gather(self, count: int) -> dict[Line, float]:
        """When each of so many answers was whole."""
        whole: dict[Line, float] = {}
        deadline_s = time.perf_counter() + ANSWER_S
        while len(whole) < count and time.perf_counter() < deadline_s:
            for fd, _ in self.epoll.poll(0.5):
                line = self.by_fd[fd]
                if line.take():
                    whole[line] = time.perf_counter()
        self.errors += count - len(whole)
        return whole

    def _note(self, whole: dict[Line, float]) -> None:
        """Learn what each caller has seen now; it must be news."""
        for line in whole:
            seen = self._version(line)
            self.errors += not line.good or seen == self.seen[line]
            self.seen[line] = seen

    def _version(self, line: Line) -> str:
        if not self.sync:
            return line.header(b"x-consul-index").decode()
        changed = json.loads(line.body)["changed"]
        return changed[0]["version"] if changed else self.seen[line]

    def change(self) -> list[float]:
        """Change what all wait for; seconds from sending the change to each caller's whole answer."""
        self.port += 1
        self._write(self.service, f"node-{self.service}", self.port)
        sent_s = self.writer.sent_s
        whole = self._gather(len(self.lines))
        self._note(whole)
        self.errors += self.writer.wait() != b"true"
        return [at_s - sent_s for at_s in whole.values()]

    def change_nothing(self, changes: int) -> int:
        """So many changes that nobody waits for; how many answers came all the same."""
        for number in range(changes):
            self._write("elsewhere", "node-elsewhere", 2000 + number)
            self.errors += self.writer.wait() != b"true"
        return len(self.epoll.poll(0.5))

    def _write(self, service: str, node: str, port: int) -> None:
        body = registration(0, service, node=node, port=port)
        self.writer.send(http("PUT", "/v1/catalog/register", self.token, body))


def watch(job: Any) -> Any:
    """Blocked readers, some rounds of changes, and what they cost."""
    readers = Readers(job)
    delays: list[float] = []
    lasts: list[float] = []
    readers.park()
    rss_mb = sum(measure.rss_mb(job["pid"]))
    unasked = readers.change_nothing(job.get("unwatched", 0))
    for number in range(job["rounds"]):
        if number:
            readers.park()
        came = readers.change()
        delays += came
        lasts.append(max(came, default=float("nan")))
    return {
        "errors": readers.errors,
        "unasked": unasked,
        "rss_mb": rss_mb,
        "done": len(delays),
        "took_s": sum(lasts),
        "last_ms": percentile(lasts, 0.5) * 1e3,
        **delays_ms(delays),
    }


def dns(job: Any) -> Any:
    """Questions for a service's addresses, so many under way at once, over UDP."""
    labels = b"".join(bytes([len(part)]) + part for part in job["name"].encode().split(b"."))
    question = labels + b"\0" + struct.pack(">HH", 1, 1)
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(job["connections"])]
    epoll, by_fd = select.epoll(), {sock.fileno(): sock for sock in socks}
    sent: dict[int, float] = {}
    for number, sock in enumerate(socks):
        sock.connect(("127.0.0.1", job["port"]))
        epoll.register(sock.fileno(), select.EPOLLIN)
        sent[sock.fileno()] = time.perf_counter()
        sock.send(struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question)
    started_s, delays, errors = time.perf_counter(), [], 0
    while time.perf_counter() - started_s < job["seconds"]:
        ready = epoll.poll(1)
        errors += not ready
        for fd, _ in ready:
            answer = by_fd[fd].recv(4096)
            now_s = time.perf_counter()
            delays.append(now_s - sent[fd])
            number, flags, _, records = struct.unpack(">HHHH", answer[:8])
            errors += bool(flags & 0xF) or records == 0
            sent[fd] = now_s
            by_fd[fd].send(struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question)
    return {"done": len(delays), "took_s": time.perf_counter() - started_s, "errors": errors, **delays_ms(delays)}


def main() -> None:
    """Do the job of stdin; `cpu_s` and `catalog_cpu_s` are what it took of this process and of the catalog."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    job = json.load(sys.stdin)
    before_s, catalog_s, started_s = time.process_time(), measure.cpu_s(job["pid"]), time.perf_counter()
    figures = {"register": register, "watch": watch, "dns": dns}[job["do"]](job)
    figures["cpu_s"] = time.process_time() - before_s
    figures["catalog_cpu_s"] = measure.cpu_s(job["pid"]) - catalog_s
    figures["wall_s"] = time.perf_counter() - started_s
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
