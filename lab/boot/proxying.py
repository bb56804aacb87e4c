"""A site's HTTP proxy: tinyproxy, which lets CONNECT to port 443 through, and a control socket beside it.

Belongs here: how it is started, and that its end is not overlooked. Never: who has to use it; the router sees to that.
"""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.boot import cable, counters, forwarding
from lab.errors import RuntimeUnavailable

PORT = 3128
"""What proxies are usually reached at; registered with IANA for another of them."""
SETTINGS = Path("/run/lab/tinyproxy.conf")
_TEXT = f"""\
Port {PORT}
Listen 0.0.0.0
Timeout 3600
MaxClients 256
ConnectPort 443
DisableViaHeader Yes
LogLevel Warning
"""

Order = dict[str, Any]


class Proxy:
    """The proxy's program and what it says of itself."""

    def __init__(self) -> None:
        SETTINGS.write_text(_TEXT)
        self._program = subprocess.Popen(["tinyproxy", "-d", "-c", str(SETTINGS)])

    @property
    def orders(self) -> Mapping[str, Callable[[Order], Order]]:
        return {
            "status": lambda order: {"state": "ready", "port": PORT, "unplugged": cable.unplugged()},
            "metrics": lambda order: {"text": counters.of_proxy(PORT)},
        }

    def ended(self, child: int) -> None:
        """Raises RuntimeUnavailable where it was the proxy that has ended."""
        if child == self._program.pid:
            raise RuntimeUnavailable("tinyproxy has ended; the site has no way out without it, so this node ends too")

    def stop(self) -> None:
        self._program.terminate()


def run(ready: Callable[[], None]) -> None:
    """Start the proxy and serve until SIGTERM. Raises OSError, RuntimeUnavailable."""
    forwarding.serve(Proxy(), ready)
