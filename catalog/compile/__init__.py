"""Compiling: config entries and registrations in, the values that proxies decide from out.

Pure below the edge: no clock, socket, randomness, log or environment. Nothing here changes the state; every function
takes values and returns values.
"""
