"""Links by the kernel's own disciplines, where it has them.

Belongs here: running tc and ip. Never: what they are told (lab.links.netem).
"""

import socket
import subprocess
from collections.abc import Mapping
from typing import Any

from lab.boot import rules
from lab.errors import RuntimeUnavailable
from lab.links import Entry, netem
from lab.links.emulator import Network
from lab.links.queueing import swallowing


class Netem:
    """Every packet of a link goes through netem. Making one raises RuntimeUnavailable where the kernel has not all."""

    by = "netem"

    def __init__(self, seed: int, interface: int) -> None:
        self._seed, self._name = seed, socket.if_indextoname(interface)
        self._sorted, self._generation = "", 0
        rules.feed(["tc", "-batch", "-"], f"qdisc add dev {self._name} root netem delay 1ms\n")
        rules.feed(["tc", "-batch", "-"], f"qdisc del dev {self._name} root\n")
        rules.feed(["ip", "-batch", "-"], f"link add {netem.IFB} type ifb\nlink set {netem.IFB} up txqueuelen 1000\n")
        try:
            rules.feed(["tc", "-batch", "-"], netem.setup(self._name))
        except RuntimeUnavailable:
            self.stop()
            raise

    def apply(
        self, entries: tuple[Entry, ...], networks: Mapping[str, tuple[Network, ...]], *, anew: bool = False
    ) -> None:
        """Have these links from now on; returns when they are in effect. Raises RuntimeUnavailable."""
        rules.feed(["tc", "-batch", "-"], netem.shaped(self._name, entries, self._seed))
        if netem.sorted_by_address(self._name, entries, networks, self._generation) != self._sorted:
            # the new ones beside the former ones, which go when those stand: no packet passes unimpaired
            filters = netem.sorted_by_address(self._name, entries, networks, self._generation + 1)
            rules.feed(["tc", "-batch", "-"], filters)
            former, self._sorted = self._sorted, filters
            self._generation += 1
            if former:
                rules.feed(["tc", "-batch", "-"], netem.withdrawn(former))
        for version, text in swallowing(entries, networks).items():
            rules.feed([f"{'iptables' if version == 4 else 'ip6tables'}-restore", "--noflush"], text)

    def status(self) -> dict[str, Any]:
        """The kernel has nothing to say of itself."""
        return {}

    def stop(self) -> None:
        """Take the disciplines away, as far as there are any."""
        for command in (
            ["ip", "link", "del", netem.IFB],
            ["tc", "qdisc", "del", "dev", self._name, "root"],
            ["tc", "qdisc", "del", "dev", self._name, "ingress"],
        ):
            subprocess.run(command, capture_output=True, check=False)
