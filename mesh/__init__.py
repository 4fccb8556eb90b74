"""The mesh itself: its domain, its pure decisions and its data plane.

Rooms, lowest floor first; a room imports only from floors below it:

- `model`: frozen values.
- `decide`, `wire`: pure choices and sans-io codecs.
- `identity`, `transport`, `telemetry`: keys and TLS, the only sockets, what is measured.
- `sync`: the client of the sync protocol.
- `proxy`: inbound and outbound flows.  `gateway`: flows at the edge of a network.
- `cli`: finds the commands of all rooms.

It must never import `catalog` or `agents`.
"""
