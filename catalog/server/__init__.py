"""One catalog process put together: store, engine, authority, listeners, and what keeps them fresh.

It decides nothing: it opens, wires, runs and closes. `linkspan catalog` is this with flags.
"""
