"""Two networks, one mesh, on loopback: `make demo` runs it for you to play with, `make demo CHECK=1` proves what it claims.

`vm-paris` and `k8s-east` are sets of loopback addresses here; the services of one reach those of the other only through the
mesh gateways, because that is what the catalog tells their proxies. (tests/system has the same with networks that have no route.)
"""
