"""Sans-io codecs: bytes in, values out, values in, bytes out.

No socket, clock, randomness or log. Every parser holds its fuzz invariant: any bytes give a value or the peer's
error, and fed whole equals fed byte by byte.
"""
