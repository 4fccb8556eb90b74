"""The service catalog: the registry of nodes, services, health, policy and identity, and the one place that decides about them.

It must never import the data plane (`mesh.proxy`, `mesh.gateway`) or an agent: proxies ask the catalog, not the other way round.
"""
