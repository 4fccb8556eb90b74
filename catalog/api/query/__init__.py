"""`/v1/query`: prepared queries, kept as records, and run for the HTTP API and for DNS."""
