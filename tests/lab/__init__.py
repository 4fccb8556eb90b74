"""The lab: real networks, machines and clusters for the system tests.

It must never touch what it did not start: everything it makes hangs on a process or a directory of its own.
"""
