"""Running checks: one task a check, a bound on how many probe at once, results into the local state.

Probes are edges (sockets, processes); what a result means is decided by `agents.vm.thresholds` and the local state.
"""
