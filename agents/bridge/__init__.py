"""The bridge: mirrors services, their health and intentions from one Consul-speaking catalog to another, for migration.

Words: a *side* is one of the two catalogs; a *mirror* is one direction, from its *source* to its *target*; a *mark* is
what the bridge writes on everything it makes, so that it knows its own and no bridge mirrors it again.

It must never write or remove what does not carry its own mark, and never take silence for deletion. It uses what the
Consul HTTP API documents and nothing else, and imports neither `agents.vm` nor `agents.k8s`.
"""
