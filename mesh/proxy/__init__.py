"""The sidecar: inbound and outbound side of one workload's proxy.

Words: a *link* is an established trunk with its socket; an *exchange* is one HTTP request with its response, between the
side it came in on and the side it goes out on; a *stream* is one TCP connection of the application carried to a peer.
Set-up (handshake, dial, back-off, drain) is coroutines; bytes ride the ring. Nothing here judges: every decision is taken
by `mesh.decide` over the current snapshot, and what cannot be decided is denied.
"""
