"""What a machine has to spare for others, as a supernode or relay: files, memory, time.

Belongs here: measuring, and how many more that is. Never: who is asked, and what is answered.
"""

import asyncio
import contextlib
import os
import resource
import statistics
from dataclasses import dataclass
from pathlib import Path

FILES_KEPT = 64
"""Open files that are left to the client itself: its calls, its links, its log."""
MEMORY_EACH = 256 * 1024
"""Bytes for one client more, generously: a connection's buffers in the kernel and here, and TLS's state."""
MEMORY_SHARE = 0.5
"""Of the memory that is free: the rest is its user's."""
LATE = 0.1
"""Seconds that a timer comes late on a machine that is too busy for others: voice comes every 20 ms, and
what waits so long for the processor is heard."""
LOOKS, LOOK = 9, 0.02
"""Timers that are set to find that out, and seconds for which: the middle one counts, so that one stumble does not."""
LEAST = 2
"""Clients or calls below which it is not worth anybody's while."""
MOST_PLACES = 5_000
"""Clients that a supernode is measured to have room for at the most: each pings once a second, about 0.05 ms of the one
processor that its program uses, so that these leave it three quarters for sign-ins and calls."""
LEAST_PLACES = 400
"""And at the least, for a machine that was set up to be one: as many as a simulated supernode has (Skype's had several
hundred), which take 100 MiB and fewer files than the 1,024 that a program is commonly given."""
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Spare:
    """Open files and bytes of memory that may still be taken, and by how many seconds a timer comes late."""

    files: int
    memory: int
    late: float

    def room(self, wanted: int) -> int:
        """How many clients or calls of those that were wanted there is room for; each takes one file."""
        return max(0, min(wanted, self.files - FILES_KEPT, int(self.memory * MEMORY_SHARE) // MEMORY_EACH))

    @property
    def places(self) -> int:
        """How many clients a supernode has room for that does nothing else: fewest where timers come late."""
        return LEAST_PLACES if self.late > LATE else max(LEAST_PLACES, self.room(MOST_PLACES))

    def lacking(self, wanted: int) -> str | None:
        """Why nothing is to be had from this machine; None where something is."""
        if self.late > LATE:
            return f"its machine is busy: timers come {self.late * 1000:.0f} ms late"
        if (room := self.room(wanted)) < min(LEAST, wanted):
            return f"its machine has room for {room}: {self.files} open files and {self.memory >> 20} MiB are left"
        return None


async def measured() -> Spare:
    """What this machine has to spare now; takes a fifth of a second."""
    loop, late = asyncio.get_running_loop(), []
    for _ in range(LOOKS):
        due = loop.time() + LOOK
        await asyncio.sleep(LOOK)
        late.append(loop.time() - due)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Spare(most - len(os.listdir("/proc/self/fd")), _memory(), statistics.median(late))  # noqa: PTH208 - counted


def _memory() -> int:
    """Bytes that are free on this machine, or in its container, whichever is less."""
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    for most, taken in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", without a limit
            return min(free, int((CGROUP / most).read_text()) - int((CGROUP / taken).read_text()))
    return free
