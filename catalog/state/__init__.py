"""The catalog's state: the pure result of the changes applied to it, in order.

No clock, socket, randomness, log or environment here: the same changes always give the same state, on every
replica and after every restart. Nothing but `State.apply` mutates it.
"""
