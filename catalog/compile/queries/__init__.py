"""Prepared queries: what one says, what a template renders to for a name, and which instances are its answer.

Pure below the edge: no clock, socket or randomness; how an answer is shuffled is an argument.
"""
