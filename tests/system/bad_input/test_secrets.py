"""Marked secrets go through every door, also the wrong ones; afterwards they are searched for wherever they must not be.

Kept they may be as hashes alone, but for what is configuration: a private key of an `inline-certificate`, which only
lies in the catalog's own store.
"""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.process import free_port, run
from tests.system.bad_input.target import Reply, Target
from tests.system.dns.site import LINKSPAN, catalog

pytestmark = pytest.mark.slow

MARK = "5ec7e7"
WRONG = [f"{number:08d}-{MARK}-0000-0000-000000000000" for number in range(12)]
"""Secrets that open nothing: what is said of them is said of somebody's typing error, and so of the real one."""

STORES = ("catalog.db", "catalog.db-wal", "catalog.db-shm")


class Session:
    """What was said and answered, and where secrets are known to be."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        self.folder = folder
        self.secrets: set[str] = set(WRONG)
        self.replies: list[Reply] = []

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str) -> Reply:
        """One call, its answer kept."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        reply = self.target.ask(method, path, raw, fields, token=token)
        self.replies.append(reply)
        return reply

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """Everything that was put out: the logs, every file but the stores, and the processes' own facts."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name not in {*STORES, "operator.token", "join.token", "ca.key"}:
                yield str(path), path.read_bytes()
        for fact in ("cmdline", "environ", "comm"):
            yield fact, Path(f"/proc/{self.target.place.daemon.pid}/{fact}").read_bytes()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A catalog that logs at level debug."""
    folder = tmp_path_factory.mktemp("secrets")
    config = folder / "config"
    config.mkdir()
    (config / "config.json").write_text('{"log_level": "debug"}')
    with catalog(folder, f"127.0.0.1:{free_port()}", ["--config-dir", config]) as place:
        session = Session(Target(place), folder)
        session.secrets.add(place.token)
        yield session


def make_tokens(session: Session) -> list[str]:
    """Tokens of every kind, given and made; also at the bounds of what is taken."""
    made = [session.ask("PUT", "/v1/acl/token", {"Description": "d"})]
    given = f"aaaaaaaa-0000-0000-0000-{MARK}000000"
    made.append(session.ask("PUT", "/v1/acl/token", {"SecretID": given}))
    session.ask("PUT", "/v1/acl/token", {"SecretID": given})  # once more: refused
    session.ask("PUT", "/v1/acl/token", {"SecretID": f"no-uuid-{MARK}-x"})
    session.secrets |= {f"no-uuid-{MARK}-x"}
    secrets = [json.loads(reply.body)["SecretID"] for reply in made if reply.status == 200]
    assert secrets, made
    session.secrets |= set(secrets)
    session.replies.clear()  # a token is shown to who makes it
    return secrets


@pytest.mark.parametrize("level", ["debug"])
def test_no_secret_is_put_out(session: Session, level: str) -> None:
    """Neither logs nor the audit log, answers, metrics, command lines nor snapshots carry one."""
    assert level in (session.folder / "config" / "config.json").read_text()
    good = make_tokens(session)
    speak_by_every_door(session, [*WRONG[:3], *good])
    write_secrets(session)
    join_with_secrets(session)
    check_stores(session)
    write_a_private_key(session)
    session.target.is_well()
    for reply in session.replies:
        found = [secret for secret in session.secrets if secret in reply.head + reply.text]
        assert not found, (found, reply)
    scraped = session.ask("GET", "/v1/agent/metrics?format=prometheus").text + session.ask("GET", "/v1/internal/x").text
    assert not [secret for secret in session.secrets if secret in scraped]
    for where, content in session.texts():
        found = [secret for secret in session.secrets if secret.encode() in content]
        assert not found, (where, found)


def speak_by_every_door(session: Session, tokens: list[str]) -> None:
    """Tokens as parameter, header and bearer, in calls that succeed, fail, are redirected, and are no HTTP."""
    for token in tokens:
        for path in ("/v1/kv/a", "/v1/kv//a//b", "/v1/nowhere", "/v1/query/x/execute"):
            session.ask("GET", f"{path}?token={token}&dc=dc1", token="")
            session.ask("PUT", f"{path}?token={token}&index=x", b"{", token="")
            session.ask("GET", path, token=token)
            session.ask("DELETE", path, token="", Authorization=f"Bearer {token}")
        session.ask("GET", f"/v1/kv/a?token={token}&bad=%ff", token="")
        session.ask("GET", f"/v1/catalog/nodes?token={token}&filter=((", token="")
        session.ask("BREW", f"/v1/kv/a?token={token}", token="")
        session.target.say(b"GET /v1/kv/a?token=%s HTTP/1.1\r\nX-Consul-Token: %s\r\n\r\n" % ((token.encode(),) * 2))
        session.target.say(b"GET /v1/kv/a?token=%s\x00 HTTP/1.1\r\nbad\r\n\r\n" % token.encode())


def write_secrets(session: Session) -> None:
    """Bodies that hold secrets, whole and broken: queries' tokens, logins, certificates' keys."""
    token, key = WRONG[5], f"-----BEGIN PRIVATE KEY-----\n{WRONG[6]}\n-----END PRIVATE KEY-----\n"
    for body in (
        {"Name": "q", "Token": token, "Service": {"Service": "web"}},
        {"Name": "q", "Token": token, "Service": {"Service": 5}},
        {"Name": 5, "Token": token},
        {"Token": {"a": token}},
    ):
        session.ask("POST", "/v1/query", body)
    entry = {"Kind": "inline-certificate", "Name": "c", "Certificate": "none", "PrivateKey": key}
    session.ask("PUT", "/v1/config", entry)
    session.ask("PUT", "/v1/config", {**entry, "PrivateKey": [key]})
    session.ask("PUT", "/v1/config", {**entry, "Extra": 1})
    session.ask("PUT", "/v1/config", json.dumps(entry).encode()[:-2])
    for body in ({"AuthMethod": "none", "BearerToken": WRONG[7]}, {"AuthMethod": 5, "BearerToken": WRONG[7]}):
        session.ask("POST", "/v1/acl/login", body, token="")
    session.ask("PUT", "/v1/acl/bootstrap", {"BootstrapSecret": WRONG[8]}, token="")
    session.ask("PUT", "/v1/acl/logout", token=WRONG[9])
    session.ask("PUT", "/v1/agent/token/default", {"Token": WRONG[10]})


def join_with_secrets(session: Session) -> None:
    """A join token that is used and one that is not any good; only the first is in a file, where it belongs."""
    environment = {
        "CONSUL_HTTP_ADDR": session.target.place.api,
        "LINKSPAN_TOKEN_FILE": str(session.folder / "catalog" / "operator.token"),
    }
    made = run([LINKSPAN, "token", "create", "--node", "n1", "--service", "*", "--format", "json"], env=environment)
    ticket = json.loads(made.stdout)
    session.secrets.add(ticket["Token"])
    for number, secret in enumerate((WRONG[11], ticket["Token"], ticket["Token"])):
        (session.folder / "join.token").write_text(secret)
        (session.folder / "join.token").chmod(0o600)
        words = ["--node", "n1", "--address", "127.0.0.1", "--state-dir", str(session.folder / "state")]
        pin = ["--ca-pin", ticket["CaPin"], "--token-file", str(session.folder / "join.token")]
        done = run([LINKSPAN, "join", "--server", session.target.place.mesh, *pin, *words], check=False)
        (session.folder / f"join-{number}.out").write_text(done.stdout + done.stderr)


def write_a_private_key(session: Session) -> None:
    """One that is taken: it is configuration, and lies in the store, from where nobody without rights has it."""
    where = [session.folder.parent / f"{session.folder.name}-{name}" for name in ("key", "cert")]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a", "-days", "2"]
    run([*made, "-addext", "subjectAltName=DNS:a.example.com", "-keyout", where[0], "-out", where[1]])
    key, certificate = (path.read_text() for path in where)
    entry = {"Kind": "inline-certificate", "Name": "whole", "Certificate": certificate, "PrivateKey": key}
    session.secrets.add(key.splitlines()[3])
    written = session.ask("PUT", "/v1/config", entry)
    assert written.status == 200, written
    session.ask("PUT", "/v1/config", {**entry, "Name": "x" * 5000})
    session.ask("PUT", "/v1/config?cas=7", entry)
    for token in ("", WRONG[0]):
        for path in ("inline-certificate/whole", "inline-certificate"):
            session.ask("GET", f"/v1/config/{path}", token=token)
    session.ask("GET", "/v1/config/inline-certificate?filter=PrivateKey==x")


def check_stores(session: Session) -> None:
    """The store and a snapshot know tokens by their hashes alone, and neither can be read by others."""
    snapshot = session.ask("GET", "/v1/snapshot")
    assert snapshot.status == 200
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(snapshot.body))) as archive:
        contents = [member.read() for one in archive if (member := archive.extractfile(one)) is not None]
    data = session.folder / "catalog"
    contents += [path.read_bytes() for name in STORES if (path := data / name).exists()]
    for content in contents:
        assert not [secret for secret in session.secrets if secret.encode() in content]
    for path in data.iterdir():
        assert not path.stat().st_mode & 0o077, path
