"""`python3 -m lab.boot.reader FD SEED`: the process that holds core's packets back for as long as their links take.

Belongs here: the loop around the emulator: queue, clock, orders. Never: what a link does (lab.links).
A process of its own, so that nothing else that core does delays a packet.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import socket
import sys
import time
from ipaddress import ip_network
from typing import Any

from lab.boot.nfqueue import Queue
from lab.errors import RuntimeUnavailable
from lab.links import entries
from lab.links.emulator import Emulator
from lab.links.queueing import QUEUE

LONGEST_ORDER = 1 << 20
_PR_SET_TIMERSLACK = 29  # linux/prctl.h


def main(fd: int, seed: int) -> None:
    """Serve until the other end of the socket `fd` is closed: one JSON object a datagram, each answered.

    Where the kernel has no queue, {"failed": why} is the answer to the first, and the end.
    """
    orders = socket.socket(fileno=fd)
    try:
        queue = Queue(QUEUE)
    except RuntimeUnavailable as error:
        if orders.recv(LONGEST_ORDER):
            orders.send(json.dumps({"failed": str(error)}).encode())
        return
    emulator = Emulator(seed)
    both: list[Any] = [queue, orders]
    priority = _be_punctual()
    while True:
        waits = emulator.next_at
        timeout = None if waits is None else max(0.0, waits - time.monotonic())
        ready, _, _ = select.select(both, [], [], timeout)
        if queue in ready:
            for number, at, size, addresses in queue.read():
                emulator.arrive(number, at, size, addresses)
        emulator.run(time.monotonic())
        _release(queue, emulator)
        if orders in ready:
            order = orders.recv(LONGEST_ORDER)
            if not order:
                return
            _obey(json.loads(order), emulator)
            _release(queue, emulator)
            answer = {
                "priority": priority,
                "under_way": emulator.under_way,
                "overruns": queue.overruns,
                "lost": emulator.counts(),
            }
            orders.send(json.dumps(answer).encode())


def _release(queue: Queue, emulator: Emulator) -> None:
    if emulator.verdicts:
        queue.give(emulator.verdicts)
        emulator.verdicts.clear()


def _obey(order: dict[str, Any], emulator: Emulator) -> None:
    """{"links": LAB_LINKS, "networks": {site: [prefix, ...]}} changes the links; anything else asks how it goes."""
    if "links" in order:
        networks = {site: [ip_network(text) for text in owned] for site, owned in order["networks"].items()}
        now = time.monotonic()
        emulator.become(entries(order["links"]), networks, now)
        emulator.run(now)


def _be_punctual() -> str:
    """Come before everything else that wants the processor, as far as that is allowed; says how far that is.

    With CAP_SYS_NICE: real-time, or the best niceness where the kernel keeps control groups from real time.
    """
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()  # nothing here has cycles
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return "realtime"
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "nice -20"
    return "normal"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
