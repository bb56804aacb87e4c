"""A relay's program ends once its calls are elsewhere, and at once where it is asked twice."""

import asyncio
import time
from dataclasses import replace

import pytest

from lab.node.roles import _left
from lab.node.shell import Shell
from lab.node.tls import client_context
from lab.overlay.actions import Event
from lab.overlay.identity import issue_credential
from lab.overlay.relay import HandedOver, Relay
from lab.overlay.session import Leg, Session
from tests.unit.overlay.fakenet import WALL, FakeNet


def ends_after(calls: int, hurried: bool = False) -> tuple[float, list[Event]]:
    """Seconds until it ends that has so many silent calls, and what it has said."""
    told: list[Event] = []

    async def story() -> float:
        net = FakeNet()
        membership = replace(net.membership("relay-1", "127.0.0.1"), supernodes=())
        membership.identity.credential = issue_credential(
            net.authority_key, "relay-1", membership.identity.public, WALL
        )
        machine = Relay(membership)
        shell = Shell(machine, client_context(), told.append)
        began = time.monotonic()
        for number in range(calls):
            session = machine.sessions[f"c{number}"] = Session(f"c{number}", number, began)
            session.legs[0] = Leg(session, 0, ("127.0.0.1", 9), None, bytes(12))
        again = asyncio.Event()
        if hurried:
            again.set()
        await asyncio.wait_for(_left(shell, machine, again), 8)
        return time.monotonic() - began

    return asyncio.run(story()), told


def test_without_a_call_it_ends_at_once() -> None:
    seconds, told = ends_after(0)
    assert seconds < 0.5 and HandedOver(0) in told


@pytest.mark.slow
def test_calls_have_time_to_hear_of_it() -> None:
    seconds, told = ends_after(2)
    assert 0.9 < seconds < 4 and HandedOver(0) in told


def test_who_asks_twice_does_not_wait() -> None:
    seconds, told = ends_after(2, hurried=True)
    assert seconds < 0.5 and HandedOver(0) not in told
