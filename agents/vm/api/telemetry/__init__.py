"""What an agent tells of itself while it runs: numbers, log lines, and the host it runs on.

It must never show a secret, nor hold more lines for a slow reader than a fixed number.
"""
