"""DNS as Consul speaks it: service, node and query names answered from a directory of instances.

`wire` is the codec, `answer` turns a question and a directory into records, both pure; `serve` holds the sockets.
The catalog and the agents share it (docs/decisions/012-dns.md), so it must never import another room of the catalog: what
it knows of services comes through `answer.directory.Directory`.
"""
