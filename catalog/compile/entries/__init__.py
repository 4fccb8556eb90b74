"""The kinds of config entries as typed values: their fields, their defaults, and what one entry alone must satisfy.

Rules that need other entries at hand stand in `catalog.compile.consistency`; nothing here looks at them.
"""
