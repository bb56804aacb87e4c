"""What happens to a population: the two outages that felled Skype, one that goes on to the last supernode, and churn.

Belongs here: who is struck, when, and when they are back. Never: how that is measured, or whether it is healed.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from lab.simulation.measuring import ORDINARY, QUEUE
from lab.simulation.population import Node, Population

REBOOTING, REBOOT_WINDOW, REBOOT = 0.9, 60.0, (40.0, 120.0)
"""2007: the share of clients whose computers restart, seconds within which that begins everywhere, and seconds that one
restart takes. "A massive restart of our users' computers across the globe within a very short timeframe as they
re-booted after receiving a routine set of patches" (Skype, 20 August 2007); the numbers are assumed."""
MISSING, MISSING_FOR = 0.4, (600.0, 1800.0)
"""2007: the share of supernodes that restart as well, and seconds until they serve again: "combined with the lack of
peer-to-peer network resources" (ibid.). One that was a client has to be found fit anew."""
CRASHING, CRASHING_CLIENTS, RESTART = 0.3, 0.2, (5.0, 300.0)
"""2010: the shares of supernodes and of clients whose programs crash, and seconds until their users start them again:
"25-30 % of supernodes", 40 % of the half that ran one version (Skype, 29 December 2010)."""
SUPERNODE_SESSION, CLIENT_SESSION = 5.5 * 3600.0, 2.75 * 3600.0
"""Churn: median seconds for which one is up; a supernode's was measured (Guha, Daswani & Jain 2006). For clients no
figure has been found, so half of it is assumed. Both are exponential: how long it has been up says nothing."""
PAUSE = (60.0, 1800.0)
"""Churn: seconds for which one is away then; assumed."""
SILENT_SHARE = 0.5
"""Of those that leave or crash, without a word: a lid is shut, a network is lost, a program hangs. The computers of the
others close their connections. Assumed."""
CHURN_SPAN = 6 * 3600.0
"""Seconds of churn: a little more than one median session."""
CASCADE_REST = 40.0
"""Cascade: seconds between two blows beside those that the clients may take to come in after the first."""
RESTARTED = 1.0
"""Cascade: seconds that a program takes to be there again; assumed."""


@dataclass(frozen=True)
class Story:
    """`strike` plans what happens from a moment on, and returns when the last of the blows will have fallen."""

    name: str
    what: str
    strike: Callable[[Population, float, random.Random], float]
    gradual: bool = False
    """Whether there is no one blow from which on time could be taken."""
    lookup_every: float = 1.0
    """Seconds between two lookups while it goes on."""
    traffic_every: float = 10.0
    """Seconds between two looks at what all clients have sent and received."""
    calls: int = 0
    """Calls that run all through it, at the most."""
    in_proportion: bool = False
    """Whether the supernodes of a small crowd, which have fewer places, let in fewer a second as well."""


def _expendable(population: Population, part: float, rng: random.Random) -> list[Node]:
    """So great a part of all supernodes, but none of the floor of dedicated ones, which some company keeps up."""
    hubs = population.hubs()
    others = [node for node in hubs if not node.dedicated]
    return rng.sample(others, min(len(others), int(part * len(hubs))))


def _away(population: Population, node: Node, goes: float, back: float, silently: bool = False) -> None:
    """A node goes at one moment, and is started again `back` seconds later."""
    how = population.vanish if silently else population.crash
    population.network.at(goes, lambda: how(node))
    population.network.at(goes + back, lambda: population.start(node))


def outage_2007(population: Population, now: float, rng: random.Random) -> float:
    """Nearly all clients restart within a minute, and with them many supernodes, which stay away for longer."""
    missing = _expendable(population, MISSING, rng)
    for node in missing:
        _away(population, node, now + rng.uniform(0.0, REBOOT_WINDOW), rng.uniform(*MISSING_FOR))
    for node in _others(population, missing, REBOOTING, rng):
        _away(population, node, now + rng.uniform(0.0, REBOOT_WINDOW), rng.uniform(*REBOOT))
    return now + REBOOT_WINDOW + REBOOT[1]


def outage_2010(population: Population, now: float, rng: random.Random) -> float:
    """Three in ten supernodes crash at once, and a fifth of all clients, which their users start again."""
    struck = _expendable(population, CRASHING, rng)
    for node in struck:
        _away(population, node, now, rng.uniform(*RESTART), silently=rng.random() < SILENT_SHARE)
    for node in _others(population, struck, CRASHING_CLIENTS, rng):
        _away(population, node, now, rng.uniform(*RESTART))
    return now + RESTART[1]


def _others(population: Population, struck: list[Node], part: float, rng: random.Random) -> list[Node]:
    """So great a part of the clients that are no supernodes."""
    rest = [node for node in population.clients if not node.promoted and node not in struck]
    return rng.sample(rest, round(part * len(rest)))


def outage_cascade(population: Population, now: float, rng: random.Random) -> float:
    """Half of the supernodes go at once, then all but one, then everything is restarted at once, the last one too.

    The last one is built in: it is what every client knows. Nobody else is struck; a client that is a supernode goes
    with its computer, and those that have gone are not back before the restart.
    """
    network, gone = population.network, list[Node]()
    hubs = population.hubs()
    last = rng.choice([node for node in hubs if node.dedicated])
    half = rng.sample([node for node in hubs if node is not last], len(hubs) // 2)

    def go(what: str, nodes: list[Node]) -> None:
        survivors = len(population.hubs()) - len(nodes)
        here = sum(len(node.hub.clients) for node in nodes if node.hub is not None)
        population.watcher.struck(what, survivors, here, network.now)
        gone.extend(nodes)
        for node in nodes:
            (population.vanish if rng.random() < SILENT_SHARE else population.crash)(node)

    def restart() -> None:
        waiting = len(population.clients)
        population.watcher.struck("everything restarts", len(population.supernodes), waiting, network.now)
        running = population.hubs()
        for node in running:
            population.crash(node)
        for node in (*gone, *running):
            network.at(network.now + RESTARTED, lambda node=node: population.start(node))  # type: ignore[misc]

    a_second = QUEUE * len(population.clients) / population.scale.login_limit
    first = now + CASCADE_REST + max(ORDINARY, a_second / (len(hubs) - len(half)))
    second = first + CASCADE_REST + max(ORDINARY, a_second)
    network.at(now, lambda: go("half of the supernodes go", half))
    network.at(first, lambda: go("all but one go", [node for node in population.hubs() if node is not last]))
    network.at(second, restart)
    return second + RESTARTED


def churn(population: Population, now: float, rng: random.Random) -> float:
    """Everybody comes and goes, at a median session of some hours; the dedicated supernodes stay."""
    end = now + CHURN_SPAN
    for node in population.clients:
        _comes_and_goes(population, node, end, rng)
    return end


def _comes_and_goes(population: Population, node: Node, end: float, rng: random.Random) -> None:
    """A client that is a supernode stays longer: each time that it would leave, with the chance that makes its session
    as long as theirs."""

    def leave() -> None:
        if node.promoted and rng.random() > CLIENT_SESSION / SUPERNODE_SESSION:
            stay()
            return
        (population.vanish if rng.random() < SILENT_SHARE else population.leave)(node)
        population.network.at(population.network.now + rng.uniform(*PAUSE), come)

    def come() -> None:
        population.start(node)
        stay()

    def stay() -> None:
        leaves = population.network.now + rng.expovariate(math.log(2) / CLIENT_SESSION)
        if leaves < end:
            population.network.at(leaves, leave)

    stay()


STORIES = {
    story.name: story
    for story in (
        Story("outage-2007", "a mass restart of clients while supernodes are missing", outage_2007),
        Story("outage-2010", "three in ten supernodes crash at once", outage_2010),
        Story(
            "outage-cascade",
            "half of the supernodes go, then all but one, then everything restarts at once",
            outage_cascade,
            calls=20,
            in_proportion=True,
        ),
        Story(
            "churn", "clients and supernodes come and go", churn, gradual=True, lookup_every=20.0, traffic_every=120.0
        ),
    )
}
