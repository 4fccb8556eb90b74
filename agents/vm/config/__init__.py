"""What `linkspan dev` makes of Consul's agent configuration: settings over flags' defaults, and reloads while it runs.

The files are read by `catalog.server.config`; here is decided what they mean for a dev process. It must never make one
listen on anything but loopback.
"""
