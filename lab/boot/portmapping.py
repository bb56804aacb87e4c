"""Ports that hosts of a site ask their router for: miniupnpd, which grants them on the LAN, beside the router's rules.

Belongs here: how it is started, when it loses what it granted, and that its end is not overlooked. Never: the rules of
the router (lab.nat); the two never touch each other's tables.
"""

import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import IO

from lab.boot import rules
from lab.errors import RuntimeUnavailable
from lab.nat import portmap
from lab.nat.axes import PortProtocol
from lab.nat.wiring import Wiring

SETTINGS = Path("/run/lab/miniupnpd.conf")
_NOBODY = 65534
_KEEP = "-all,+net_admin"
_COMMAND = (
    *("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs"),
    *(f"--inh-caps={_KEEP}", f"--ambient-caps={_KEEP}", f"--bounding-set={_KEEP}"),
    *("/usr/sbin/miniupnpd", "-d", "-f", str(SETTINGS), "-P", "/run/lab/miniupnpd.pid"),
)
"""Nobody's process with one capability, which is what writing rules takes; -d: in the foreground, in many words."""
_LISTENS: dict[PortProtocol, str] = {"upnp": "HTTP listening on port", "natpmp": "Listening for NAT-PMP/PCP traffic"}
"""Its words by which each protocol is served, in the order in which it says them."""
_END_S = 5.0
"""Seconds that it is given to end."""


def settings(wiring: Wiring, site: str, offers: Collection[PortProtocol]) -> str:
    """Its settings: hosts map ports above 1023, to themselves alone; no lease outlives the daemon.

    The lab's internet is of addresses that are reserved for documentation: it would refuse those for private ones, and
    tell them to nobody but by its own settings.
    """
    return f"""\
ext_ifname={wiring.wan}
ext_ip={wiring.wan_address.ip}
listening_ip={wiring.lan}
http_port=5000
enable_upnp={_yes("upnp" in offers)}
enable_natpmp={_yes("natpmp" in offers)}
secure_mode=yes
ipv6_disable=yes
ext_allow_private_ipv4=yes
upnp_table_name={portmap.TABLE}
upnp_nat_table_name={portmap.TABLE}
upnp_forward_chain={portmap.FILTER}
upnp_nat_chain={portmap.PREROUTING}
upnp_nat_postrouting_chain={portmap.POSTROUTING}
uuid={uuid.uuid5(uuid.NAMESPACE_DNS, site)}
allow 1024-65535 {wiring.inside} 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def _yes(so: bool) -> str:
    return "yes" if so else "no"


class PortMapping:
    """miniupnpd of one router, running or not."""

    def __init__(self) -> None:
        self.offers: frozenset[PortProtocol] = frozenset()
        """The protocols that it answers to, none while it does not run."""
        self._program: subprocess.Popen[str] | None = None
        self._last: deque[str] = deque(maxlen=4)

    @property
    def running(self) -> bool:
        return self._program is not None

    def start(self, wiring: Wiring, site: str, offers: frozenset[PortProtocol]) -> None:
        """Begin without a mapping; serves when this returns. Raises RuntimeUnavailable with its words."""
        self.stop()
        rules.feed(["nft", "-f", "-"], portmap.EMPTY)
        SETTINGS.parent.mkdir(exist_ok=True)
        SETTINGS.write_text(settings(wiring, site, offers))
        awaited = [sign for protocol, sign in _LISTENS.items() if protocol in offers]
        self._program = subprocess.Popen(_COMMAND, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        words = self._program.stderr
        assert words is not None
        for line in words:
            self._last.append(line.strip())
            if awaited and awaited[0] in line:
                del awaited[0]
            if not awaited:
                self.offers = offers
                threading.Thread(target=self._listen, args=(words,), daemon=True).start()
                return
        self.stop()
        raise RuntimeUnavailable(f"miniupnpd does not start: {'; '.join(self._last) or 'it said nothing'}")

    def _listen(self, words: IO[str]) -> None:
        """Its pipe must not fill; the last words are kept for whoever asks why it ended."""
        with words:
            self._last.extend(line.strip() for line in words)

    def stop(self) -> None:
        """End it, and every mapping that it granted. Raises RuntimeUnavailable."""
        program, self._program, self.offers = self._program, None, frozenset()
        if program is not None:
            program.terminate()
            try:
                program.wait(_END_S)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
            rules.feed(["nft", "-f", "-"], portmap.WITHOUT)

    def ended(self, child: int) -> None:
        """Raises RuntimeUnavailable where it was the daemon that has ended."""
        if self._program is not None and child == self._program.pid:
            words = "; ".join(self._last)
            raise RuntimeUnavailable(f"miniupnpd has ended ({words}); the site is not what its file says without it")
