"""Frozen values that every other room speaks in: names, identities, endpoints, chains, intentions, the snapshot.

Values only: no clock, socket, randomness, log or environment, and nothing here is ever mutated.
All of them are msgspec structs, so that what travels over sync is what a proxy decides from.
"""
