"""Register a service and watch it change, with python-consul2 as it comes. Start `linkspan dev` first."""

import threading

import consul


def register(number: int) -> None:
    service = {"Service": "web", "ID": f"web-{number}", "Port": 8080}
    c.catalog.register(f"vm-{number}", f"192.0.2.{number}", service=service)


c = consul.Consul()
register(1)
index, found = c.health.service("web")
print("registered:", sorted(one["Service"]["ID"] for one in found))
threading.Timer(0.5, register, [2]).start()
index, found = c.health.service("web", index=index, wait="30s")
print("now:", sorted(one["Service"]["ID"] for one in found))
