"""Keys, their locks, the sessions that hold them, and transactions: what Consul's `kv`, `session` and `txn` do to the tables.

Pure, like all of the state. A lock must never be held by a session that is gone, nor be taken before its delay is over.
"""
