"""HTTP/1 as machines: `request` and `response` read, `body` knows lengths and chunks, `write` writes heads.

One message at a time: what follows a message's end waits until `next_message`. Heads are parsed by llhttp, judged by
`mesh.wire.head`, and always written anew. It must never pass raw bytes of a head on, and never guess where a body ends.
"""
