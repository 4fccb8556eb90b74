"""Who a caller is and what it may do: callers, the table of rights, operator and join tokens, Kubernetes identities.

Deny is the answer to everything that no line of the table allows. Secrets are kept as hashes only, never logged, and
compared in constant time.
"""
