"""The catalog's face: Consul's HTTP API v1 and `/v1/linkspan/*`, served by anycorn on trio.

This is an edge: the one place of the catalog that knows HTTP, sockets, TLS contexts and the wall clock. It must
never decide what is true (that is `catalog.state`) nor who may do what (that is `catalog.access`): it parses,
asks, and prints. One module a family of endpoints, under `v1/`.
"""
