"""The host agent as a process: what it was told at joining, its settings, its lease, systemd, and the composition of it all."""
