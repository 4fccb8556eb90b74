"""Access control as Consul's operators know it: rules, policies, roles, tokens, and what a token may do.

Pure: text and records to values and verdicts. Missing or unreadable means deny; a secret is kept as its hash alone.
"""
