"""From a question to records: Consul's names, read by `question`, looked up in a `directory`. Pure."""
