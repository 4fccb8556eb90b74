"""The certificates and kubeconfigs of a laboratory cluster, made afresh for every cluster.

It must never be used outside the lab: keys lie in plain files and every certificate lives one day.
"""

import datetime as dt
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_LIFE = dt.timedelta(days=1)
_SKEW = dt.timedelta(minutes=5)

COMPONENTS = {
    "admin": ("admin", "system:masters"),
    "kubelet-client": ("apiserver-kubelet-client", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "proxy": ("system:kube-proxy", None),
}


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose certificate lies at `certificate_path`."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificate_path: Path


class Pki:
    """One directory of keys: `NAME.crt`, `NAME.key` and, for clients of the API server, `NAME.conf`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.ca = self._authority("ca")
        self.front_ca = self._authority("front-ca")
        accounts = ec.generate_private_key(ec.SECP256R1())
        self._write_key("accounts", accounts)
        public = accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (directory / "accounts.pub").write_bytes(public)
        self.certify("front-proxy", "front-proxy", None, authority=self.front_ca)
        for name, (user, group) in COMPONENTS.items():
            self.certify(name, user, group)

    def path(self, name: str) -> Path:
        return self.directory / name

    def certify(
        self,
        name: str,
        user: str,
        group: str | None,
        *,
        hosts: Sequence[str] = (),
        authority: Authority | None = None,
    ) -> None:
        """Write `name`.crt and .key for a client `user` in `group`, and for a server too when it has `hosts`."""
        issuer = authority or self.ca
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        usages = [_CLIENT, _SERVER] if hosts else [_CLIENT]
        builder = _builder(x509.Name(subject), issuer.certificate.subject, key)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(issuer.key, hashes.SHA256())
        self._write_key(name, key)
        self.path(f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def kubeconfig(self, name: str, server: str) -> Path:
        """Write the kubeconfig of `name`, with which it speaks to `server`; returns its path."""
        client = {"client-certificate": str(self.path(f"{name}.crt")), "client-key": str(self.path(f"{name}.key"))}
        cluster = {"server": server, "certificate-authority": str(self.ca.certificate_path)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": name, "user": client}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
            "current-context": "lab",
        }
        path = self.path(f"{name}.conf")
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    def _authority(self, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"lab {name}")])
        builder = _builder(subject, subject, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        self._write_key(name, key)
        path = self.path(f"{name}.crt")
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Authority(certificate, key, path)

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        path = self.path(f"{name}.key")
        path.touch(mode=0o600)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
