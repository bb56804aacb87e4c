"""The calling system as state machines: bytes and a clock in, actions out. No sockets, no threads, no event loop."""
