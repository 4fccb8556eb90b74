"""Keys, certificates and TLS contexts of a mesh process, and the judgement on a peer's certificate.

- `leaf`: one certificate with its key.  `live`: the identity in use, replaced whole at rotation.
- `context`: TLS 1.3 contexts made from it.  `peer`: who is at the other end, or why it is refused.
- `keygen`: the short-lived child process that makes keys.  `request`: how it is called.  `keep`: the leaf on disk.

Only `keygen` may import `cryptography`: a proxy's memory is counted. A key is never logged, never an argument of a
process, and never in a file that others can read.
"""
