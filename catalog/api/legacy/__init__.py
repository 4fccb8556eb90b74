"""Forms of Consul's API that it keeps for old clients alone, and what they stand for today. Nothing new belongs here."""
