"""Proofs of another kind, and the rights they get: signed web tokens, Kubernetes service accounts, binding rules.

Pure but for verifying signatures. A proof that is not understood whole proves nothing.
"""
