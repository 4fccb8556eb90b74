"""The root on disk: key and certificate in one file that only its owner can read, so that no half of it is ever there."""

import contextlib
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalog.authority.signer import RootKey, make_root, new_trust_domain
from mesh.model.names import InvalidNameError, check_trust_domain

ROOT_FILE = "ca.pem"


class AuthorityFileError(Exception):
    """The operator's data directory holds an authority that cannot be used; the text says what to do."""


def load_or_make_root(data_dir: Path, trust_domain: str | None, now_s: float) -> RootKey:
    """The root that `data_dir` keeps, or a new one, kept there before it is used.

    `trust_domain` None takes the kept root's, or a new unique one.

    Raises:
        AuthorityFileError: the file is damaged, readable by others, or of another trust domain than asked.
    """
    path = data_dir / ROOT_FILE
    if not path.exists():
        root = make_root(trust_domain or new_trust_domain(), now_s)
        _write_once(path, _to_pem(root))
    root = _read(path)
    if trust_domain is not None and root.trust_domain != trust_domain:
        raise AuthorityFileError(
            f"{path} is the authority of trust domain {root.trust_domain!r}, not {trust_domain!r}: use another data directory"
        )
    return root


def _to_pem(root: RootKey) -> bytes:
    key = root.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key + root.pem.encode()


def _read(path: Path) -> RootKey:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise AuthorityFileError(f"{path} is readable by others (mode {mode:o}): chmod 600 it")
    data = path.read_bytes()
    try:
        key = serialization.load_pem_private_key(data, password=None)
        certificate = x509.load_pem_x509_certificate(data)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        trust_domain = check_trust_domain(uri.removeprefix("spiffe://"))
    except (ValueError, x509.ExtensionNotFound, InvalidNameError) as error:
        raise AuthorityFileError(
            f"{path} holds no authority of this version ({error}): restore it from a backup"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise AuthorityFileError(f"{path}: the key does not belong to the certificate: restore it from a backup")
    return RootKey(certificate, key, trust_domain)


def _write_once(path: Path, data: bytes) -> None:
    """Create the file whole or not at all; if another process was first, its file stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it fails if the file has come to exist meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
