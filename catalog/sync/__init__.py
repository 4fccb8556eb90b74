"""The catalog's side of sync: named resources, compiled and encoded once for all callers, and the long poll for them.

Nothing is kept of a caller but its parked request.
"""
