"""Voice: what is said, Opus, SRTP, the jitter buffer and the figures of quality.

Bytes and clocks in, bytes and figures out. No sockets, no event loop, no threads: those belong to `lab.node`.
"""
