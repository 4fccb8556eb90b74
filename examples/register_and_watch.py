"""Register a service and watch it change, with python-consul2 as it comes. Start `linkspan dev` first."""

import threading

import consul

c = consul.Consul()
c.agent.service.register("web", service_id="web-1", port=8080, tags=["v1"])
index, found = c.health.service("web")
print("registered:", [one["Service"]["ID"] for one in found])
later = threading.Timer(0.5, c.agent.service.register, ["web"], {"service_id": "web-2", "port": 8081})
later.start()
index, found = c.health.service("web", index=index, wait="30s")
print("now:", [one["Service"]["ID"] for one in found])
