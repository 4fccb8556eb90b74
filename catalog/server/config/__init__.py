"""Consul's own agent configuration (`config.json` and its neighbours), read for `linkspan dev` and `linkspan catalog`.

Everything here is text and files to values; whoever starts the processes decides what to do with them. A key that Consul
knows and Linkspan has nothing for is named, never silently dropped; a key that nobody knows is refused.
"""
