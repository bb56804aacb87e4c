"""The simulator's client against the whole one: the same sign-ins, at the same places and times."""

import random

import pytest

from lab.overlay.actions import Machine
from lab.overlay.client import Client
from lab.overlay.member import Membership, SignedIn, SignedOut
from tests.unit.simulation.crowd import Trace, a_bad_day, crowd

pytestmark = pytest.mark.slow


MEDIA_PORTS = (7000, 443)


def whole(membership: Membership) -> Machine:
    """A client with sockets for media, that finds out its network by the supernodes' STUN."""
    client = Client(membership, MEDIA_PORTS)
    client.hub.rng = random.Random(membership.identity.name)
    client.discovery.trial.busy = lambda: True  # sixty packets of each that prove nothing here
    return client


def test_a_hundred_clients_without_media_sign_in_as_whole_ones_do() -> None:
    part, short = crowd()
    all_of_it, long = crowd(client=whole)
    for population in (part, all_of_it):
        for node in population.supernodes:
            node.host.handshake = 0.0  # a whole client opens more connections, each of which would hold up the next
        a_bad_day(population)
    assert all_of_it.network.happened > 5 * part.network.happened, "the whole clients did no more than sign in"
    ours, theirs = courses(short), courses(long)
    assert sum(map(len, ours.values())) > 250
    assert ours == theirs


def courses(trace: Trace) -> dict[str, list[tuple[str, float]]]:
    """Of each client: where it signed in and out, and when."""
    found: dict[str, list[tuple[str, float]]] = {}
    for name, event, at in trace:
        if isinstance(event, SignedIn | SignedOut):
            found.setdefault(name, []).append((str(event), round(at, 6)))
    return found
