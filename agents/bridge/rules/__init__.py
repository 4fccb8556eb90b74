"""What a bridge decides, as pure functions over frozen values: marks, rows, readings, plans.

No clock, no calls, no log: `now_s` is an argument, and the edge above does what the plans say.
"""
