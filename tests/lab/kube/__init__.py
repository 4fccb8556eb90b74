"""A real Kubernetes from its own sources: control plane alone (no root), or with nodes in namespaces (root).

It must never use a fake API server, and never leave a process, mount or control group behind.
"""
