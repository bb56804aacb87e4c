"""The line of a site behind a carrier, whose way up is held back at the carrier's router and whose way down at its own.

Mobile-1 sits behind carrier-1, whose line of 10 ms each way lies behind mobile-1's; relay-1 has none.
"""

from collections.abc import Callable, Iterator

import pytest

from lab.harness import Lab
from tests.links.sending import Heard, LabNetwork, asked, binomial
from tests.zoo.conftest import ZOO

pytestmark = pytest.mark.timeout(240)

CARRIERS = 10
"""Milliseconds that the carrier's own line takes."""
AS_IN_THE_FILE = {"delay": "10ms", "loss": "0%", "rate": "none", "mtu": "1500"}


@pytest.fixture(scope="module")
def zoo(lab: Lab) -> Iterator[LabNetwork]:
    """The zoo, and again as its file says afterwards."""
    yield LabNetwork(lab)
    lab.up(ZOO, print)


@pytest.fixture
def network(zoo: LabNetwork) -> Iterator[LabNetwork]:
    yield zoo
    zoo.set("mobile-1", **AS_IN_THE_FILE)


def up(network: LabNetwork, **train: int) -> Heard:
    return network.one_way("mobile-1-pc", "relay-1", **train)


def down(network: LabNetwork, **train: int) -> Heard:
    return network.one_way_back("relay-1", "mobile-1-pc", **train)


WAYS: dict[str, Callable[..., Heard]] = {"up": up, "down": down}


def carries(network: LabNetwork, delays: dict[str, int], mtu: int) -> None:
    """Each way takes its time, and its MTU's length; one byte more is refused by an ICMP error that comes back."""
    for way, send in WAYS.items():
        longest = send(network, count=200, rate=200, size=mtu)
        assert longest.lost == 0 and asked(longest, delays[way] + CARRIERS), (way, longest)
        if mtu < 1500:
            longer = send(network, count=20, rate=100, size=mtu + 1)
            assert (longer.error, longer.lost) == ("Message too long", 1), (way, longer)


def test_a_subscribers_line_is_certified_with_its_carriers_behind_it(network: LabNetwork) -> None:
    network.set("mobile-1", delay="60ms", rate="2mbit", mtu="1492")
    (found,) = network.lab.certify(["mobile-1"], print).sites
    assert found.disagreements() == ()
    assert found.ipv4
    link = found.ipv4.measured.link
    for way in (link.up, link.down):
        assert way.delay_ms == pytest.approx(60 + CARRIERS, rel=0.05, abs=1), link
        assert (way.mtu, way.blackhole) == (1492, False), link


@pytest.mark.parametrize("way", WAYS)
def test_loss_is_binomial_and_of_its_way_alone(network: LabNetwork, way: str) -> None:
    network.set("mobile-1", way, loss="5%")
    for one, send in WAYS.items():
        heard = send(network, count=1000, rate=2000)
        assert binomial(heard, 0.05) if one == way else heard.lost == 0, (one, heard.lost)


@pytest.mark.parametrize("way", WAYS)
def test_twice_the_rate_fills_the_queue_and_loses_half(network: LabNetwork, way: str) -> None:
    """2 mbit into 1 mbit; what gets through has waited for 200 ms, and each packet takes 8 ms."""
    network.set("mobile-1", way, rate="1mbit", queue="200ms")
    heard = WAYS[way](network, count=500, rate=250, size=1000)
    assert 0.35 < heard.lost < 0.5, "the queue takes 25 of 500 packets, and half of the others go"
    waited = sorted(heard.delays)[len(heard.delays) * 3 // 4] - 10 - CARRIERS
    assert 190 < waited < 210


def test_toward_is_one_direction_of_the_world(network: LabNetwork) -> None:
    network.set("mobile-1", toward="open-1", loss="100%")
    address = network.lab.running_world().topology.node("open-1-pc").attachments[0].address.ip
    ping = ("ping", "-c", "2", "-i", "0.2", "-W", "1", str(address))
    try:
        assert "100% packet loss" in network.inside("mobile-1-pc", *ping)
        assert " 0% packet loss" in network.inside("mobile-2-pc", *ping)
        assert up(network, count=200).lost == 0
    finally:
        network.set("mobile-1", toward="open-1", loss="0%")


def replug(lab: Lab) -> None:
    lab.unplug("carrier-1-router")
    lab.plug("carrier-1-router")


EVENTS: dict[str, Callable[[Lab], object]] = {
    "another outer address": lambda lab: lab.renew("mobile-1"),
    "its router restarted": lambda lab: lab.restart("mobile-1-router"),
    "its carrier's router restarted": lambda lab: lab.restart("carrier-1-router"),
    "its carrier's cables out and in": replug,
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_line_is_what_it_was_after(network: LabNetwork, event: str) -> None:
    network.set("mobile-1", "up", delay="60ms", mtu="1492")
    network.set("mobile-1", "down", delay="80ms", mtu="1492")
    EVENTS[event](network.lab)
    carries(network, {"up": 60, "down": 80}, 1492)


def test_lab_up_brings_back_the_line_of_the_file(network: LabNetwork) -> None:
    network.set("mobile-1", delay="60ms", loss="5%", mtu="1492")
    network.lab.up(ZOO, print)
    carries(network, {"up": 10, "down": 10}, 1500)
