"""A new key and certificate request, made in a child process (`mesh.identity.keygen`) that is gone when it returns."""

import sys

import trio

from mesh.model.identity import parse_spiffe_id

KEYGEN_TIMEOUT_S = 30.0
_SPLIT = b"-----BEGIN CERTIFICATE REQUEST-----"


class KeyMakingError(Exception):
    """The child process that makes keys failed; the text holds what it said."""


async def make_key_and_csr(uri: str) -> tuple[bytes, str]:
    """A P-256 key and a certificate request for `uri`: (key PEM, request PEM).

    Raises:
        InvalidIdentityError: `uri` is no SPIFFE ID of the mesh.
        KeyMakingError: the child failed or took longer than `KEYGEN_TIMEOUT_S`.
    """
    name = str(parse_spiffe_id(uri))
    command = [sys.executable, "-I", "-m", "mesh.identity.keygen"]
    try:
        with trio.fail_after(KEYGEN_TIMEOUT_S):
            done = await trio.run_process(
                command, stdin=name.encode(), capture_stdout=True, capture_stderr=True, check=False
            )
    except (trio.TooSlowError, OSError) as error:
        raise KeyMakingError(
            f"cannot make a key for {name}: {error or f'took over {KEYGEN_TIMEOUT_S:.0f} s'}"
        ) from error
    key_pem, mark, rest = done.stdout.partition(_SPLIT)
    if done.returncode != 0 or not mark:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
        raise KeyMakingError(
            f"cannot make a key for {name}: the child ended with {done.returncode} and said: {said[0][:300]}"
        )
    return key_pem, (mark + rest).decode("ascii")
