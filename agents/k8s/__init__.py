"""The Kubernetes side: a node agent that registers its node's pods, and the reflector it hears of them through.

Words: a *reflector* keeps a copy of one kind of object by list and watch; a *workload* is a pod that an annotated
Service selects; the *node agent* turns this node's workloads into catalog registrations that hang on one lease, so that
a lost node lapses whole.

It must never import `agents.vm`; only `kube_api` imports the Kubernetes client.
"""
