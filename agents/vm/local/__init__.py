"""What this host stands for: its services and checks, kept equal in the catalog (anti-entropy).

Words. *Entry*: a definition with its live state. *Change*: the news that one entry came, changed or went.
*Registrar*: whoever carries registrations to the catalog. The agent is the truth for its own node: what the catalog holds
for that node and the agent does not know is removed.
"""
