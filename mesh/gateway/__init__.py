"""Proxies at the edge of a network. Now: the mesh gateway, which joins networks by SNI and never terminates TLS.

Words: the *LAN* side is where the gateway's own network dials it, the *WAN* side where other networks do; a *passage* is one
connection carried through. It holds no service key and reads nothing but a ClientHello's server name.
"""
