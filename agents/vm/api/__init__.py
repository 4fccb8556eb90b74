"""The host agent's HTTP API: Consul's `/v1/agent/*`, answered here; the rest of `/v1` goes on to the catalog.

Loopback only. Whoever reaches it may register services on this host, as with Consul's agent; it must never lend the
node's own rights to a caller: what is forwarded without a token can only read.
"""
