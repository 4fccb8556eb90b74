"""What a proxy tells about itself: metrics, the access log, the admin endpoints.

It must never block the ring, grow without bound, or take a label from a client's bytes: labels come from the catalog.
"""
