"""`/v1/agent/connect/*`: what a workload that speaks mutual TLS itself needs of its agent: roots, its leaf, a verdict.

A private key is given only to whom `Host.key_rights` allows; being on this machine alone is not enough.
"""
