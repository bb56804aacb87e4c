"""A relay's deputy beside it: a process that keeps NET_ADMIN, started before the relay gives up everything.

Belongs here: two processes and the socket between them. Never: what they say (lab.node).
"""

import os
import socket
import sys

from lab.boot import privileges

RELAY_PORT = 33034
VARIABLE = "LAB_DEPUTY"


def start() -> None:
    """Leaves the relay's end of the socket in the environment; nothing where this container has no NET_ADMIN."""
    if not privileges.permitted(privileges.NET_ADMIN):
        return
    relay, deputy = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        deputy.close()
        os.set_inheritable(relay.fileno(), True)
        os.environ[VARIABLE] = str(relay.detach())
        return
    relay.close()
    privileges.become_user(keep=(privileges.NET_ADMIN,))
    os.set_inheritable(deputy.fileno(), True)
    module = [sys.executable, "-m", "lab.node.deputy", str(deputy.fileno()), str(RELAY_PORT)]
    os.execv(sys.executable, module)
