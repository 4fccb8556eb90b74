"""`/v1/config` and `/v1/connect/intentions`: what is written about services rather than registered. Judged by `catalog.compile`."""
