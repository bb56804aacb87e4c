"""`python3 -m lab.node client|supernode|relay|authority`: one program of the calling system, until it is told to stop.

Settings come from the environment (LAB_AUTHORITY, LAB_SUPERNODES: addresses); the node's name is the host's name.
"""

import asyncio
import signal
import socket
import sys

import uvloop

from lab.errors import LabError, PortTaken
from lab.node.journal import Journal
from lab.node.roles import ROLES, Settings


def main(arguments: list[str]) -> int:
    """Runs one role; 0 after SIGTERM, 2 if it cannot start, which one JSON line tells."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a container's first process inherits orphans: the kernel reaps them
    journal = Journal(socket.gethostname())
    role = ROLES.get(arguments[0]) if len(arguments) == 1 else None
    if role is None:
        journal.write("failed", error=f"expected one role of {', '.join(ROLES)}, got {' '.join(arguments) or 'none'}")
        return 2
    try:
        settings = Settings.from_environment()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(role(settings, journal))
    except PortTaken as error:
        journal.write("failed", error=str(error), port_taken=True)
        return error.exit_code
    except LabError as error:
        journal.write("failed", error=str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
