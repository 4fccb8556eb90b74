"""Agents: what runs on a host or in a cluster on behalf of its workloads. `vm` and `k8s` never import each other."""
