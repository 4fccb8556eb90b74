"""Keys made in the test's own process, where a test of something else needs no child.

It must never be imported by anything but tests.
"""

import trio

from mesh.identity.keygen import make_key_and_csr_pem


async def make_key(uri: str) -> tuple[bytes, str]:
    """As `mesh.identity.request.make_key_and_csr`."""
    await trio.lowlevel.checkpoint()
    key, mark, csr = make_key_and_csr_pem(uri).partition(b"-----BEGIN CERTIFICATE REQUEST-----")
    return key, (mark + csr).decode()
