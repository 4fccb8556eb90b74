"""The agent's DNS: the catalog's answers (`catalog.dns`) from what the agent asked the catalog, kept for when it is away."""
