"""`python -m tests.bench.serving PUBLIC_KEY`: this relay without supernodes; that key's holder is its authority.

Where LAB_DEPUTY names a socket to a deputy, it has the kernel forward. Says `ready` on standard output.
"""

import asyncio
import os
import random
import sys
import time

import uvloop

from lab.node.orders import VARIABLE, orders
from lab.node.relaying import RelaySocket
from lab.node.shell import Shell
from lab.node.tls import client_context, wrapping_context
from lab.overlay.actions import Event
from lab.overlay.identity import Identity
from lab.overlay.member import RELAY_UDP_PORT, Membership
from lab.overlay.offloading import ForwardsInKernel
from lab.overlay.relay import RELAY_SOCKET, Relay
from lab.overlay.wallclock import SetClock
from lab.overlay.whereabouts import Whereabouts


async def serve(issuer: bytes) -> None:
    offset = time.time() - time.monotonic()
    identity, own = Identity("relay"), Whereabouts(("10.77.0.1",))
    machine = Relay(Membership(identity, issuer, (), (), own, random.SystemRandom(), SetClock(offset)))

    def told(event: Event) -> None:
        if isinstance(event, ForwardsInKernel):
            print("ready", flush=True)

    shell = Shell(machine, client_context(), told)
    shell.listen_to_both("relay", "relay", RELAY_UDP_PORT, wrapping_context())
    shell.sockets[RELAY_SOCKET] = RelaySocket(shell, machine, RELAY_UDP_PORT)
    shell.forwarder, shell.straight = orders(machine, shell.settle), machine.straight_link
    if VARIABLE not in os.environ:
        print("ready", flush=True)
    await asyncio.Event().wait()


uvloop.run(serve(bytes.fromhex(sys.argv[1])))
