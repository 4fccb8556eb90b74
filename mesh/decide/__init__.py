"""Every judgement of the data plane as a pure choice: authorise, route, balance, retry, eject, rotate, deadlines.

Nothing here opens a socket, reads a clock or draws a random number: `now_s` (monotonic unless a docstring says
otherwise) and draws in [0, 1) are arguments. Model values are compiled once per snapshot into lookup structures
(`compile_policy`, `compile_chain`, `Pool`), which the caller keeps; a request costs a few dict lookups.

A `Permit` comes only out of `authorise`. `route` and `balance` ask for one, so that a path which skipped
authorisation does not type-check.
"""
