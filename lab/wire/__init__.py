"""Bytes to messages and back, pure: STUN, RTP, the framing of both over TCP, and the signalling messages.

Nothing here opens a socket, reads a clock or draws a random number. Whatever a peer sends, the only error is
ProtocolError.
"""
