"""The link to an agent or a catalog: addresses, dialling with the peer checked, HTTP over a stream, waits between tries.

It knows nothing of what travels on it.
"""
