"""The four programs put together: which machine, which listeners, which files; nothing of how they work.

Each runs until SIGTERM or SIGINT.
"""

import asyncio
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from lab.errors import ConfigError
from lab.node import metrics, store
from lab.node.control import ControlServer, Conversation, Order
from lab.node.hosting import Hosting, relay_carried, relay_status, supernode_status
from lab.node.journal import Journal
from lab.node.netlink import Watch, standing
from lab.node.orders import orders
from lab.node.phone import Phone
from lab.node.port_mapper import PortMapper
from lab.node.proxy import HttpProxy
from lab.node.relaying import RelaySocket
from lab.node.shell import Shell
from lab.node.spare import measured
from lab.node.tls import client_context, server_context, wrapping_context
from lab.overlay.actions import Event
from lab.overlay.authority import Authority, NameBound
from lab.overlay.client import Client, InviteTaken
from lab.overlay.contacts import KeyPinned
from lab.overlay.enrolment import StrangeAuthority
from lab.overlay.hub import HostsLearnt
from lab.overlay.member import (
    AUTHORITY_PORTS,
    RELAY_TCP_PORTS,
    RELAY_UDP_PORT,
    SIGNALLING_PORTS,
    Membership,
    NameEnrolled,
)
from lab.overlay.parting import LEAVING_LIMIT as PARTING_LIMIT
from lab.overlay.passage import STUN_PORT
from lab.overlay.relay import RELAY_SOCKET, HandedOver, Relay
from lab.overlay.seat import Empty
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.supernode import ALTERNATE_SOCKET, LEAVING_LIMIT, STUN_SOCKET, Supernode
from lab.overlay.whereabouts import Whereabouts

NARROW_PORT = 443
"""What clients listen on for media beside a port of their own: some firewalls let nothing else out."""


@dataclass(frozen=True)
class Settings:
    """What a program is started with: each machine that it is told of, with its addresses in text."""

    name: str
    authority: tuple[str, ...]
    supernodes: tuple[tuple[str, ...], ...]
    capacity: int | None = None
    login_rate: int | None = None
    calls: int | None = None

    @classmethod
    def from_environment(cls) -> "Settings":
        """LAB_AUTHORITY is one machine, LAB_SUPERNODES several: `,` between machines, `|` between one's addresses.
        LAB_CAPACITY is how many clients a supernode has room for, or a client would have if it were one; a supernode
        measures it where it is not set. LAB_LOGIN_RATE is how many a supernode lets in a second. LAB_CALLS is how many
        calls a relay carries, or a client would if it were one.

        Raises ConfigError for what is no address, and no number.
        """
        authority = _machines("LAB_AUTHORITY")
        return cls(
            socket.gethostname(),
            authority[0] if authority else (),
            _machines("LAB_SUPERNODES"),
            _count("LAB_CAPACITY", "how many clients a supernode has room for"),
            _count("LAB_LOGIN_RATE", "how many clients a supernode lets in a second"),
            _count("LAB_CALLS", "how many calls a relay carries"),
        )


def _count(variable: str, what: str) -> int | None:
    given = os.environ.get(variable, "").strip()
    if given and not (given.isascii() and given.isdigit() and len(given) < 10 and int(given)):
        raise ConfigError(f"{variable} is {given!r}, expected {what}")
    return int(given) if given else None


def _machines(variable: str) -> tuple[tuple[str, ...], ...]:
    machines = (machine.split("|") for machine in os.environ.get(variable, "").split(","))
    found = (tuple(_host(variable, text.strip()) for text in machine if text.strip()) for machine in machines)
    return tuple(machine for machine in found if machine)


def _host(variable: str, text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ConfigError(f"{variable} holds {text!r}, expected an IPv4 or IPv6 address") from None


class HostClock:
    """The host's wall clock, read anew each time: it is stepped, and the monotonic one stands while a host sleeps."""

    @property
    def offset(self) -> float:
        return time.time() - time.monotonic()


async def _membership(settings: Settings, journal: Journal, proxy: HttpProxy | None = None) -> Membership:
    if not settings.authority or not settings.supernodes:
        raise ConfigError("LAB_AUTHORITY or LAB_SUPERNODES is not set; give both as addresses")
    if not (addresses := standing().addresses):
        raise ConfigError(f"{settings.name} has no address that others can reach; attach it to a network")
    anchor = await store.await_anchor()

    def spoilt(sentence: str) -> None:
        journal.write("trouble", what=sentence)

    return Membership(
        identity=store.load_identity(settings.name, authority=anchor, tell=spoilt),
        authority=anchor,
        authority_hosts=settings.authority,
        supernodes=settings.supernodes,
        own=Whereabouts(addresses, proxy.serves) if proxy else Whereabouts(addresses),
        rng=random.SystemRandom(),
        wall=HostClock(),
        learnt=store.load_hosts(tell=spoilt),
        pins=store.load_pins(tell=spoilt),
        invites=store.load_invites(tell=spoilt),
        capacity=settings.capacity,
        login_rate=settings.login_rate,
        calls=settings.calls,
    )


async def _with_room(membership: Membership) -> Membership:
    """A supernode's: nobody asks for help who has room for as many as come, so its machine is measured where no number
    was given."""
    if membership.capacity is not None:
        return membership
    return replace(membership, capacity=(await measured()).places)


def _keeping(membership: Membership, journal: Journal) -> Callable[[Event], None]:
    """Writes a member's events down, and what it must remember to its files."""

    def record(event: Event) -> None:
        journal.record(event)
        if isinstance(event, NameEnrolled):
            store.save_credential(event.credential)
        elif isinstance(event, HostsLearnt):
            store.save_hosts(event.machines)
        elif isinstance(event, StrangeAuthority) and store.ANCHOR.read_bytes() != membership.authority:
            # the anchor was that of an earlier world and has been replaced: begin again with the new one
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    return record


def _keeping_of_client(machine: Client, keep: Callable[[Event], None]) -> Callable[[Event], None]:
    """The same, of a client: whom it has met and whose invites it has taken as well."""

    def record(event: Event) -> None:
        if isinstance(event, InviteTaken):  # the call's own lines tell of it
            store.save_invites(machine.invites)
            return
        keep(event)
        if isinstance(event, KeyPinned):
            store.save_pins(machine.contacts.pins)

    return record


def _defect(journal: Journal, context: dict[str, Any]) -> None:
    """A mistake of this program in a callback: told on one line with where it happened; the node goes on."""
    error = context.get("exception")
    trace = traceback.format_exception(error) if isinstance(error, BaseException) else []
    journal.write("defect", error=str(context.get("message")), trace="".join(trace))


async def _serve(
    shell: Shell,
    journal: Journal,
    status: Callable[[], Order] | None = None,
    orders: Mapping[str, Callable[[Order], Order]] | None = None,
    phone: Phone | None = None,
    hosting: Hosting | None = None,
) -> None:
    """Opens the control socket, starts the machine, and waits for a signal to stop. A supernode hands its clients over
    first, a relay its calls, unless the signal comes twice."""

    def plain(order: Order, _: Conversation) -> Order:
        act = (orders or {}).get(str(order.get("order")))
        if act is not None:
            return act(order)
        if order.get("order") != "status" or status is None:
            known = ", ".join(("status", "metrics", *(orders or ())))
            raise ConfigError(f"unknown order {order.get('order')!r}; known: {known}")
        return status()

    handle = phone.order if phone else plain
    relocated = shell.relocated
    if hosting is not None:
        relocated = hosting.relocated

    def answer(order: Order, conversation: Conversation) -> Order:
        if order.get("order") == "metrics":
            beside = hosting.beside() if hosting is not None else None
            machines = (shell.machine, *((beside.machine,) if beside is not None else ()))
            return {"text": metrics.exposed(journal.node, machines, journal.counts)}
        said = handle(order, conversation)
        if order.get("order") == "status":
            said = {**said, **(hosting.status() if hosting is not None else {})}
            return {**said, "unplugged": not standing().addresses}  # a host that is up has an address
        return said

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: _defect(journal, context))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    control = ControlServer(answer)
    await control.start()
    shell.start()
    watch = Watch(relocated)
    await stopped.wait()
    stopped.clear()
    leaving = hosting.beside() if hosting is not None else shell
    if leaving is not None and isinstance(leaving.machine, Supernode | Relay):
        await _left(leaving, leaving.machine, stopped)
    watch.close()


async def _left(shell: Shell, machine: Supernode | Relay, hurried: asyncio.Event) -> None:
    """Returns when a supernode's clients, or a relay's calls, are elsewhere, or have had time enough for it."""
    empty, told = asyncio.Event(), shell.on_event

    def on_event(event: Event) -> None:
        told(event)
        if isinstance(event, Empty | HandedOver):
            empty.set()

    shell.on_event = on_event
    machine.leave(time.monotonic())
    shell.settle()
    waits = [asyncio.ensure_future(event.wait()) for event in (empty, hurried)]
    limit = max(LEAVING_LIMIT, PARTING_LIMIT) + 1.0
    await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _proxy_here(journal: Journal) -> HttpProxy | None:
    """The proxy of the network that the client starts on: its environment's, but where it was taken elsewhere before.
    Raises ConfigError where that is no HTTP proxy."""

    def spoilt(sentence: str) -> None:
        journal.write("trouble", what=sentence)

    visited = store.load_visited(standing().addresses, tell=spoilt)
    if visited is None:
        return HttpProxy.from_environment()
    return HttpProxy.named(visited.proxy) if visited.proxy else None


async def client(settings: Settings, journal: Journal) -> None:
    """A user's client: listens for media on any port and on 443, both TCP, plain and inside TLS."""
    proxy = _proxy_here(journal)
    membership = await _membership(settings, journal, proxy)
    keep = _keeping(membership, journal)
    machine = Client(membership, ())
    phone = Phone(machine, journal, _keeping_of_client(machine, keep), store.save_visited)
    shell = Shell(machine, client_context(), phone.on_event, proxy)
    phone.shell = shell
    wrapping = wrapping_context()
    machine.tcp_ports = tuple(shell.listen_to_both("media", "media", port, wrapping) for port in (0, NARROW_PORT))
    shell.port_mapper = mapper = PortMapper(machine, shell.settle)
    phone.hosting = hosting = Hosting(machine, shell, journal, keep)
    await _serve(shell, journal, phone=phone, hosting=hosting)
    await mapper.close()


async def supernode(settings: Settings, journal: Journal) -> None:
    """A hub: TLS signalling on its own port, 443 and 80, STUN on two UDP ports and, for those who are plain, on TCP."""
    membership = await _with_room(await _membership(settings, journal))
    machine = Supernode(membership)
    shell = Shell(machine, client_context(), _keeping(membership, journal))
    tls = server_context(settings.name, membership.identity.private)
    for port in SIGNALLING_PORTS:
        shell.listen_to_both("stun", "signalling", port, tls)
    for port in (STUN_PORT, ALTERNATE_PORT):
        await shell.listen("stun", port, None)
    await shell.bind_udp(STUN_SOCKET, STUN_PORT)
    await shell.bind_udp(ALTERNATE_SOCKET, ALTERNATE_PORT)

    def status() -> Order:
        return {
            "state": "ready" if machine.ready else "starting",
            **supernode_status(machine),
        }

    await _serve(shell, journal, status)


async def relay(settings: Settings, journal: Journal) -> None:
    """A relay: binds and media on UDP, and on TCP at its own port, 443 and 80."""
    membership = await _membership(settings, journal)
    machine = Relay(membership)
    shell = Shell(machine, client_context(), _keeping(membership, journal))
    wrapping = wrapping_context()
    for port in RELAY_TCP_PORTS:
        shell.listen_to_both("relay", "relay", port, wrapping)
    shell.sockets[RELAY_SOCKET] = RelaySocket(shell, machine, RELAY_UDP_PORT)
    shell.forwarder, shell.straight = orders(machine, shell.settle), machine.straight_link

    began = time.time()

    def status() -> Order:
        return {"state": "ready" if machine.ready else "starting", **relay_status(machine)}

    def carried(order: Order) -> Order:
        return {"up_since": began, **relay_carried(machine, shell.settle, order)}

    await _serve(shell, journal, status, {"carried": carried})


async def authority(settings: Settings, journal: Journal) -> None:
    """The authority: enrolment over TLS with the key that everybody knows beforehand."""
    private = store.load_key(store.STATE / "key")
    machine = Authority(private, store.load_names(), HostClock())

    def record(event: Event) -> None:
        journal.record(event)
        if isinstance(event, NameBound):
            store.save_names(machine.names)

    shell = Shell(machine, client_context(), record)
    tls = server_context(settings.name, private)
    for port in AUTHORITY_PORTS:
        await shell.listen("enrolment", port, tls)
    store.publish_anchor(private.public_key().public_bytes_raw())
    journal.write("ready")
    await _serve(shell, journal, lambda: {"state": "ready", "names": len(machine.names)})


Role = Callable[[Settings, Journal], Coroutine[None, None, None]]
ROLES: dict[str, Role] = {"client": client, "supernode": supernode, "relay": relay, "authority": authority}
