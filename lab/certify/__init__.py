"""What a network does, measured by packets, against what it claims to do.

Belongs here: the procedure (RFC 5780's and what it lacks), and the verdict. Never: Docker, or the calling system.
The probes that it gives orders to are lab.probe's; what they saw is judged here, on the host.
"""
