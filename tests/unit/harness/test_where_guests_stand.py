"""Where a guest of a site stands: two that come at the same time get two addresses."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import AddressTaken, RuntimeUnavailable
from lab.harness import guests
from lab.harness.probing import probes
from lab.runtime.probes import Place
from lab.runtime.world import World
from lab.topology import parse

pytestmark = pytest.mark.slow


TOPOLOGY = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})


class Lab:
    """One whose engine has given to others what is `theirs`, and shows of that only what is `shown`."""

    name, topology, node = "lab", TOPOLOGY, "home-router"

    def __init__(self, theirs: set[str], shown: set[str]) -> None:
        self.theirs, self.shown, self.asked = theirs, shown, list[str]()

    def running(self, name: str) -> "Lab":
        return self

    def in_use(self, *about: Any) -> set[IPv4Address | IPv6Address]:
        return {ip_address(one) for one in self.shown}

    @contextmanager
    def _made(self) -> Iterator["Lab"]:
        yield self

    def berth(self, engine: Any, lab: str, place: Place, alone: bool) -> Any:
        self.asked.append(place.address)
        if place.address in self.theirs:
            raise AddressTaken("the engine could not put a guest on home: Address already in use")
        held = self._made()
        cast(Any, held).id = "c1"
        return held


def ran(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of a program that runs at home."""
    said: list[str] = []
    monkeypatch.setattr(probes, "addresses_in_use", lab.in_use)
    monkeypatch.setattr(guests.guests, "Berth", lab.berth)
    monkeypatch.setattr(guests.guests, "run", lambda *about: 7)
    assert guests.run(cast(Any, None), cast(World, lab), "home", None, ["true"], said.append) == 7
    return said


def free(count: int) -> list[str]:
    """The addresses that are given first on a LAN on which nobody else is."""
    found = probes.free_addresses(
        TOPOLOGY.lan_of("home").subnet, {a for n in TOPOLOGY.nodes for a in n.addresses}, count
    )
    return list(found)


def test_an_address_that_another_program_was_given_meanwhile_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = free(3)
    lab = Lab(theirs={one, two}, shown=set())
    said = ran(lab, monkeypatch)
    assert lab.asked == [one, two, three] and three in said[0]


def test_what_the_engine_shows_as_given_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = free(2)
    lab = Lab(theirs={one}, shown={one})
    ran(lab, monkeypatch)
    assert lab.asked == [two]


def test_a_site_on_which_every_address_is_taken_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {str(one) for one in TOPOLOGY.lan_of("home").subnet}
    with pytest.raises(RuntimeUnavailable, match="free addresses, and 1 are needed"):
        ran(Lab(theirs=everything, shown=set()), monkeypatch)
