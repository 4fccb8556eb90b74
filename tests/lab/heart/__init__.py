"""The scene of the heart test: one mesh over a cluster and booted machines that have no route to each other.

It must never do what a person could not: the chart goes in by Helm, the machines come in by `linkspan join` and our units.
"""
