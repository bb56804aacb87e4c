"""Packets of several sites: who passes which lines, in which order they leave, what a change does to them."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from lab.links import entries
from lab.links.emulator import Emulator

A, B, C, SERVER = "203.0.113.32", "203.0.113.33", "203.0.113.34", "203.0.113.11"
A6, B6 = "2001:db8:0:1::32", "2001:db8:0:1::33"
SITES = f"a {A},{A6} {{}}; b {B},{B6} {{}}; c {C} {{}}"


class World:
    """An emulator that is told of packets by their addresses, and says what came out."""

    def __init__(self, *axes: str, seed: int = 1) -> None:
        self.emulator = Emulator(seed)
        self.numbers: Iterator[int] = iter(range(1_000_000))
        self.become(0.0, *axes)

    def become(self, now: float, *axes: str) -> None:
        links = entries(SITES.format(*axes))
        networks = {entry.site: [ip_network(address) for address in entry.addresses] for entry in links}
        networks["a"].append(ip_network("198.51.100.16/28"))
        self.emulator.become(links, networks, now)

    def send(self, at: float, source: str, destination: str, size: int = 100) -> int:
        number = next(self.numbers)
        self.emulator.arrive(number, at, size, ip_address(source).packed + ip_address(destination).packed)
        return number

    def run(self, until: float) -> dict[int, float | None]:
        """Number -> when it left, None where it was lost, of everything that has been decided."""
        fate = dict.fromkeys((number for number, goes_on in self.taken() if not goes_on))
        out: dict[int, float | None] = dict(fate)
        while (at := self.emulator.next_at) is not None and at <= until:
            self.emulator.run(at)
            out |= {number: at if goes_on else None for number, goes_on in self.taken()}
        return out

    def taken(self) -> list[tuple[int, bool]]:
        verdicts = list(self.emulator.verdicts)
        self.emulator.verdicts.clear()
        return verdicts

    def delay(self, source: str, destination: str, size: int = 100) -> float | None:
        """What one packet takes, in an idle world."""
        number = self.send(1000.0, source, destination, size)
        if (number, True) in self.emulator.verdicts:
            self.taken()
            return 0.0
        left = self.run(2000.0)[number]
        return None if left is None else round(left - 1000.0, 9)


@pytest.mark.parametrize(
    ("source", "destination", "delay"),
    [
        (A, B, 0.01 + 0.2),
        (B, A, 0.1 + 0.02),
        (A, SERVER, 0.01),
        (SERVER, A, 0.02),
        (SERVER, "203.0.113.12", 0.0),
        (A, C, 0.01),
        (C, SERVER, 0.0),
        (A6, B6, 0.01 + 0.2),
        ("198.51.100.18", B, 0.01 + 0.2),  # a prefix that is routed to the site
        (B, "198.51.100.30", 0.1 + 0.02),
        ("198.51.100.32", B, 0.2),  # the next prefix is nobody's
        (A, "198.51.100.18", 0.0),  # the router and its own hosts
    ],
)
def test_a_packet_passes_its_senders_up_and_its_receivers_down(source: str, destination: str, delay: float) -> None:
    world = World("up.delay=10ms down.delay=20ms", "up.delay=100ms down.delay=200ms", "")
    assert world.delay(source, destination) == pytest.approx(delay)


def test_toward_is_one_direction_between_two_sites() -> None:
    world = World("delay=10ms toward.b.delay=30ms toward.c.loss=100%", "", "")
    assert world.delay(A, B) == pytest.approx(0.04)
    assert world.delay(B, A) == pytest.approx(0.01)
    assert world.delay(A, C) is None
    assert world.delay(C, A) == pytest.approx(0.01)


def test_packets_of_two_sites_share_the_line_of_a_third_in_the_order_in_which_they_reach_it() -> None:
    """One from far away was sent first, reaches the shared line last, and waits for nobody behind it."""
    world = World("up.delay=100ms", "up.delay=10ms", "down.rate=8kbit down.queue=1s")
    far = world.send(0.0, A, C, size=100)
    near = world.send(0.01, B, C, size=100)
    assert world.run(10.0) == {near: pytest.approx(0.12), far: pytest.approx(0.22)}


def test_a_flow_keeps_its_order_through_jitter_rate_and_change() -> None:
    world = World("delay=50ms jitter=20ms", "down.rate=1mbit down.queue=10s down.delay=30ms down.jitter=30ms", "")
    sent = [world.send(number * 0.0005, A, B) for number in range(400)]
    world.emulator.run(0.2)
    gone = world.taken()
    world.become(0.2, "delay=5ms jitter=2ms", "down.rate=2mbit down.queue=10s", "")
    sent += [world.send(0.2 + number * 0.0005, A, B) for number in range(400)]
    gone += [(number, left is not None) for number, left in world.run(100.0).items()]
    assert gone == [(number, True) for number in sent]


def test_a_clean_link_lets_go_at_once_what_it_held() -> None:
    world = World("delay=400ms", "", "")
    held = [world.send(number * 0.001, A, B) for number in range(100)]
    world.become(0.1, "", "", "")
    world.emulator.run(0.1)
    assert world.taken() == [(number, True) for number in held]


def test_one_sites_change_does_not_touch_anothers_packets() -> None:
    world = World("delay=100ms", "", "delay=100ms")
    mine, others = world.send(0.0, A, B), world.send(0.0, C, B)
    world.become(0.05, "delay=1ms", "", "delay=100ms")
    assert world.run(1.0) == {mine: pytest.approx(0.051), others: pytest.approx(0.1)}


def test_a_black_hole_swallows_large_packets_both_ways() -> None:
    world = World("mtu=1400 blackhole=yes", "", "")
    assert world.delay(A, B, size=1400) == 0.0 and world.delay(B, A, size=1400) == 0.0
    assert world.delay(A, B, size=1401) is None and world.delay(B, A, size=1401) is None
    assert world.delay(B, C, size=1500) == 0.0
    upward = World("up.mtu=1400 up.blackhole=yes", "", "")
    assert upward.delay(A, B, size=1401) is None and upward.delay(B, A, size=1401) == 0.0
    refusing = World("mtu=1400", "", "")
    assert refusing.delay(A, B, size=1500) == 0.0, "the kernel refuses it before or behind, with ICMP"


def test_one_sites_traffic_does_not_change_anothers_luck() -> None:
    quiet, busy = (World("loss=50%", "loss=50%", "") for _ in range(2))
    for number in range(200):
        quiet.send(number * 0.01, A, SERVER)
        busy.send(number * 0.01, A, SERVER)
        busy.numbers, kept = iter(range(10_000 + number, 10_001 + number)), busy.numbers
        busy.send(number * 0.01, B, SERVER)
        busy.numbers = kept
    fates = quiet.run(10.0)
    assert 60 < sum(left is None for left in fates.values()) < 140
    assert {number: left for number, left in busy.run(10.0).items() if number < 10_000} == fates


def test_losses_are_counted_by_line() -> None:
    world = World("up.loss=100%", "down.rate=8kbit down.queue=100", "")
    for _ in range(3):
        world.send(0.0, A, SERVER)
        world.send(0.0, SERVER, B)
    assert world.emulator.counts() == {"a up": {"lost": 3, "overflowed": 0}, "b down": {"lost": 0, "overflowed": 2}}
