"""`python3 -m lab.boot.guest [alone]`: make this container a host of its site, for a program beside it that may not.

It takes the place of a client: addresses of the engine, the way out through the site's router; `alone` where the site
has no IPv4 inside. When its stdin ends, so does the container: whatever became of the one who ordered it,
nothing is left.
"""

import contextlib
import json
import os
import signal
import sys

from pyroute2.netlink.exceptions import NetlinkError

from lab.boot import attach
from lab.errors import LabError


def main(arguments: list[str]) -> int:
    """Until stdin ends; 2 where the network cannot be had, which one JSON line tells."""
    try:
        (attach.attach_alone if arguments == ["alone"] else attach.attach)("client", os.environ)
        print(json.dumps({"event": "ready"}), flush=True)
        while os.read(sys.stdin.fileno(), 4096):
            pass
    except (LabError, OSError, NetlinkError) as error:
        print(json.dumps({"event": "failed", "error": str(error)}), flush=True)
        return 2
    finally:
        with contextlib.suppress(OSError):
            os.kill(1, signal.SIGTERM)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
