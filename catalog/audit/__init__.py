"""Who wrote what, from where, and what became of it: one line a write, kept apart from the log, and never a secret in it."""
