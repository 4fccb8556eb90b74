"""The relay: the Unix socket through which this host's proxies get resources and certificates.

Words. *Book*: the union of what the proxies follow and the last good answer for each. *Away*: the catalog does not answer;
what is in the book is served all the same, also after a restart of the agent.
"""
