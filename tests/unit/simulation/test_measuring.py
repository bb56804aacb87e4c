"""What counts as not healed yet."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.overlay.identity import Identity
from lab.overlay.member import SignedIn, SignedOut
from lab.simulation.hosts import Host
from lab.simulation.measuring import ORDINARY, Measures
from lab.simulation.population import Node

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def node(name: str, role: str = "client") -> Node:
    return Node(name, role, Identity(name, KEY), Host("198.51.100.1", "198.51.100.1", 0.01))


def a_day() -> tuple[Measures, Node, Node]:
    """A client at a supernode, before the blow."""
    measures, hub, client = Measures(), node("supernode-1", "supernode"), node("client-1")
    for each in (hub, client):
        measures.began(each, 0.0)
    measures.told(client, SignedIn(hub.name, 33033), 1.0)
    measures.since = 100.0
    return measures, hub, client


def test_who_has_lost_its_supernode_is_healed_when_it_is_in_again() -> None:
    measures, hub, client = a_day()
    measures.ended(hub, 100.0)
    measures.told(client, SignedOut(hub.name, "nothing heard"), 102.0)
    measures.told(client, SignedIn("supernode-2", 33033), 103.5)
    assert measures.last_in == 103.5
    assert list(measures.lost) == [1.5]


def test_a_moment_between_two_supernodes_is_measured_and_is_nothing_to_heal() -> None:
    measures, hub, client = a_day()
    measures.told(client, SignedOut(hub.name, "closed by the other end"), 180.0)
    measures.told(client, SignedIn("supernode-2", 33033), 180.5)
    assert measures.last_in == 0.0
    assert list(measures.lost) == [0.5]


def test_whoever_is_away_for_long_is_to_be_healed_whatever_the_reason() -> None:
    measures, hub, client = a_day()
    measures.told(client, SignedOut(hub.name, "closed by the other end"), 180.0)
    measures.told(client, SignedIn("supernode-2", 33033), 181.0 + ORDINARY)
    assert measures.last_in == 181.0 + ORDINARY
