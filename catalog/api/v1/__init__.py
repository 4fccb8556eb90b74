"""The endpoints, one module a family: catalog, health, status, intentions, config entries, authority, Linkspan's own.

A handler reads the state, or submits one change, and prints; it must never keep anything between two calls.
"""
