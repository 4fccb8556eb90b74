"""`/v1/acl/*`: tokens, policies, roles, auth methods, binding rules, login and logout.

No answer carries a secret but the one that makes it, or the one whose caller showed it.
"""
