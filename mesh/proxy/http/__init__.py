"""HTTP between an application's sockets and trunks: heads in all the forms they travel in, and the connections at both ends.

Words: the *client* is the side a request comes from, the *origin* the side that answers it; a *form* is a judged head without
what ends at this hop, with its encodings made once and kept for the next message with the same fields.
"""
