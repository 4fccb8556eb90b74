"""`/v1/internal/*`: what agents ask the catalog on behalf of their callers. No client of Consul's depends on these."""
