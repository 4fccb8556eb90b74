"""`/v1/kv/*`, `/v1/session/*` and `/v1/txn`: keys, the sessions that lock them, and transactions, as Consul answers them.

Every handler asks the caller's authorizer, for reads anew whenever a blocking query wakes; it must never tell by an
answer whether a key is there that the caller may not read.
"""
