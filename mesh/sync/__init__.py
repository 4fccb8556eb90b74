"""The client of the sync protocol (DESIGN 5): what a mesh process follows, holds and keeps on disk.

- `client`: HTTP over trio streams to an agent's Unix socket or a catalog's mesh port.  `join`: the first certificate.
- `follow`: which resources a process wants; `snapshot` values made from them.  `holder`: the value in use.
- `cache`: the last-known-good on disk.  `leaf`: renewal of the process's certificate.

It must never import httpx2 or cryptography: a proxy's memory is counted. A catalog that is away changes nothing that is held.
"""
