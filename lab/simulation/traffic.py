"""What a word costs on the wire beside its own bytes.

Belongs here: sizes. Never: who sends.
"""

WRAPPING = 5 + 1 + 16 + 20 + 20 + 12
"""Bytes around each write: a record of TLS 1.3 (RFC 8446, 5.2), IPv4, TCP with timestamps. Pure acknowledgements are
left out: the answer to a heartbeat carries that of the question."""
HANDSHAKE_UP, HANDSHAKE_DOWN = 305 + 5 * 52, 1112 + 4 * 52
"""Bytes of opening a connection: TLS as measured between the contexts of lab/node/tls.py, and the headers around it."""
