"""`python3 -m lab.boot ROLE`: attach, then forward packets (core, router) or hand over to the node's program.

Belongs here: the order of start-up and its two possible lines of output. Never: how a step is done.
"""

import json
import os
import socket
import sys
import time

from pyroute2.netlink.exceptions import NetlinkError

from lab import nat
from lab.boot import attach, privileges, rules
from lab.boot.wiring6 import alone
from lab.errors import ConfigError, LabError

FORWARDING = ("core", "router")
PROGRAMS = ("client", "supernode", "relay", "authority")
PROXY = "proxy"
_ROLES = (*FORWARDING, *PROGRAMS, PROXY)


def main(arguments: list[str]) -> int:
    """Run one role until it ends; 2 when it cannot start. One JSON line says which."""
    try:
        _start(arguments)
    except (LabError, OSError, NetlinkError) as error:
        _say("failed", error=str(error))
        return 2
    return 0


def _start(arguments: list[str]) -> None:
    if len(arguments) != 1 or arguments[0] not in _ROLES:
        allowed = ", ".join(_ROLES)
        raise ConfigError(f"expected one role of {allowed}, got {' '.join(arguments) or 'none'}")
    role = arguments[0]
    if role in (*PROGRAMS, PROXY) and alone(os.environ) and attach.has_ipv6():  # else it was moved, to one without
        attach.attach_alone(role, os.environ)
    else:
        wiring = attach.attach(role, os.environ)
    if role in PROGRAMS:
        rules.load(nat.untracked())
        if role == "relay":
            from lab.boot import deputizing

            deputizing.start()
        privileges.become_user()
        os.execv(sys.executable, [sys.executable, "-m", "lab.node", role])
    if role == PROXY:
        from lab.boot import proxying

        rules.load(nat.untracked())
        privileges.become_user()
        proxying.run(ready=lambda: _say("ready"))
        return
    from lab.boot import forwarding  # not for programs: they hand over at once

    forwarding.run(role, wiring, os.environ, ready=lambda: _say("ready"))


def _say(event: str, **more: str) -> None:
    print(json.dumps({"at": time.time(), "node": socket.gethostname(), "event": event, **more}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
