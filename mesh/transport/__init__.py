"""The only room with sockets: the ring, TLS handshakes, listening, dialling and the raw relay.

Words: the *ring* is one inner epoll that a single trio task waits on; a *machine* is a connection's small state machine
that the ring calls when its socket is ready; a *turn* is one batch of ready sockets, closed by a flush of everything
that was written in it. Nothing here judges: who may speak, and to whom, is `mesh.decide`.
"""
