"""The host agent: one per VM. It reads service files, runs checks, registers the host and feeds its proxies.

Words. *Definition*: what a person or program asked to register. *Local state*: the definitions and check states
this agent stands for; for its own node it is the truth and the catalog follows (anti-entropy). *Registrar*: the seam
to the catalog. *Relay*: the Unix socket that local proxies get their resources and certificates from.

It must never bind its HTTP API to anything but loopback, and never hold a key of a service.
"""
