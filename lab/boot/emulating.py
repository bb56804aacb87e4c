"""Links without netem: a hop's packets wait in a netfilter queue that a process of its own reads.

Belongs here: starting that process, handing it the links, noticing its end. Never: what a link does (lab.links).
"""

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lab.boot import rules
from lab.boot.reader import LONGEST_ORDER
from lab.errors import RuntimeUnavailable
from lab.links import Entry, write
from lab.links.emulator import Network
from lab.links.notation import Address
from lab.links.queueing import queueing

PATIENCE_S = 10.0  # the reader answers in milliseconds, and starts in 0.2 s; the rest is for a busy machine
SHORTEST_LIFE_S = 5.0  # a reader that ends sooner would end again
READER = (sys.executable, "-m", "lab.boot.reader")
MODULES = "nfnetlink_queue xt_NFQUEUE"
"""Of the kernel, which make the queue."""


class Emulating:
    """Every packet of a link goes through the reader; none of them passes while there is none."""

    by = "nfqueue"

    def __init__(
        self,
        seed: int,
        say: Callable[..., None],
        mend: str,
        *,
        own: Iterable[Address] = (),
        first: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """`mend`: what to do where the kernel has no queue. `own`: addresses whose packets are for this hop itself.
        `first`: rules of IPv4 that come before these."""
        self._seed, self._own, self._say, self._mend, self._first = seed, tuple(own), say, mend, first
        self._links: tuple[tuple[Entry, ...], Mapping[str, tuple[Network, ...]]] = ((), {})
        self._rules: Mapping[int, str] = {}
        self._started_at = 0.0
        self.restarts = 0
        self._stopped = False
        self._one_at_a_time = threading.Lock()

    def apply(
        self, entries: tuple[Entry, ...], networks: Mapping[str, tuple[Network, ...]], *, anew: bool = False
    ) -> None:
        """Have these links from now on; returns when they are in effect. `anew`: the rules of before have gone.

        Raises RuntimeUnavailable.
        """
        with self._one_at_a_time:
            before, self._links = self._links, (entries, networks)
            try:
                if self._started_at == 0.0:
                    self._start()
                else:
                    self._ask(self._order())
                # The reader first: it has let go what waited on a link that is clean now before others pass it by.
                wanted = queueing(entries, networks, self._own, self._first())
                for version, text in wanted.items() if anew or wanted != self._rules else ():
                    self._feed(version, text)
                self._rules = wanted
            except RuntimeUnavailable:
                self._links = before
                raise

    def _feed(self, version: int, text: str) -> None:
        try:
            rules.feed([f"{'iptables' if version == 4 else 'ip6tables'}-restore", "--noflush"], text)
        except RuntimeUnavailable as error:
            if self._rules:
                raise
            raise RuntimeUnavailable(f"{error}; {self._mend}") from error  # a kernel that never took such rules

    def status(self) -> dict[str, Any]:
        """What the reader says of itself. Raises RuntimeUnavailable."""
        with self._one_at_a_time:
            return {**self._ask({}), "restarts": self.restarts}

    def stop(self) -> None:
        """Let the reader end."""
        with self._one_at_a_time:
            self._stopped = True
            if self._started_at:
                self._orders.close()

    def _watch(self, process: int) -> None:
        """Wait for the reader's end; one that lived for a while gets a successor, else this hop ends."""
        select.select([process], [], [])
        os.close(process)
        with self._one_at_a_time:
            if self._stopped:
                return
            lived = time.monotonic() - self._started_at
            try:
                if lived < SHORTEST_LIFE_S:
                    raise RuntimeUnavailable(f"the reader of the links ended {lived:.1f} s after its start")
                self._orders.close()
                self._start()
            except RuntimeUnavailable as error:
                self._say("failed", error=f"{error}; without it no packet passes a link")
                os._exit(2)  # from a thread: a hop that loses packets in silence is worse than one that is gone
            self.restarts += 1
        self._say("links-interrupted", lived_s=round(lived, 1), restarts=self.restarts)

    def _start(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(PATIENCE_S)
        with theirs:
            command = [*READER, str(theirs.fileno()), str(self._seed)]
            self._reader = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        process = os.pidfd_open(self._reader.pid)
        try:
            self._ask(self._order())
        except RuntimeUnavailable:
            os.close(process)
            self._orders.close()  # which ends it, where it has not ended
            raise
        self._started_at = time.monotonic()
        threading.Thread(target=self._watch, args=(process,), name="reader's end", daemon=True).start()

    def _order(self) -> dict[str, Any]:
        entries, networks = self._links
        return {"links": write(entries), "networks": {site: list(map(str, owned)) for site, owned in networks.items()}}

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            self._orders.send(json.dumps(order).encode())
            answer = self._orders.recv(LONGEST_ORDER)
        except OSError as error:
            raise RuntimeUnavailable(f"the reader of the links does not answer: {error}") from error
        if not answer:
            raise RuntimeUnavailable("the reader of the links has ended; see `lab logs NODE`")
        said: dict[str, Any] = json.loads(answer)
        if "failed" in said:
            raise RuntimeUnavailable(f"{said['failed']}; {self._mend}")
        return said
