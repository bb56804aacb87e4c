"""Links hold what is asked of them, measured by probes one way on one clock, at 2,000 packets a second through core.

Alice is at park, whose router translates nothing; relay-1 has no link. So one link lies between them.
Medians alone are held to the bounds: what a busy machine does to single packets says nothing of the link.
"""

import json
import time
from itertools import pairwise

import pytest
from sending import LabNetwork, Network, asked, binomial


@pytest.mark.parametrize("delay", [0, 10, 50, 100, 400])
def test_the_delay_is_what_was_asked_and_nothing_is_lost(network: Network, delay: int) -> None:
    network.set("park", "up", delay=f"{delay}ms")
    heard = network.one_way("alice", "relay-1")
    assert asked(heard, delay) and heard.lost == 0, heard


def test_up_and_down_are_apart(network: Network) -> None:
    network.set("park", "up", delay="40ms")
    network.set("park", "down", delay="80ms")
    assert asked(network.one_way("alice", "relay-1"), 40)
    assert asked(network.one_way("relay-1", "alice"), 80)


def test_a_link_is_of_both_families(network: Network) -> None:
    if network.address6("carol") is None:
        pytest.skip("no site of this topology has IPv6 inside; the zoo's are certified in both families")
    network.set("flat", "up", delay="40ms")
    assert asked(network.one_way("carol", "relay-1", ipv6=True), 40)
    assert asked(network.one_way("relay-1", "carol", ipv6=True), 10)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_loss_is_binomial(network: Network, share: float) -> None:
    network.set("park", "up", loss=f"{share:.0%}")
    heard = network.one_way("alice", "relay-1", count=1000)
    assert binomial(heard, share), heard.lost
    assert network.one_way("relay-1", "alice", count=1000).lost == 0


def test_bursts_lose_their_share_in_runs(network: Network) -> None:
    """A burst begins at 1 % of the packets and ends at 25 %: 3.8 % are lost, four in a row in the mean.

    Of 8,000 packets, by the model: 1.6 to 6.1 % and 2.4 to 5.6 in four standard deviations. Losses that know nothing of
    each other come 1.04 in a row.
    """
    network.set("park", "up", burst="1%,25%")
    heard = network.one_way("alice", "relay-1", count=8000)
    assert 0.016 < heard.lost < 0.061, heard.lost
    gaps = [after - before - 1 for before, after in pairwise([-1, *heard.numbers, heard.sent])]
    runs = [gap for gap in gaps if gap > 0]
    assert 2.4 < sum(runs) / len(runs) < 5.6, runs


def test_jitter_spreads_evenly_around_the_delay_and_keeps_order(network: Network) -> None:
    """Of 400 such trains through lab.links.line, medians were off by 1.3 ms at most, a twentieth was below 47 ms and
    another above 53; packets that are pushed back to keep their order would pile up near 55."""
    network.set("park", "up", delay="50ms", jitter="5ms")
    heard = network.one_way("alice", "relay-1", count=4000)
    assert abs(heard.median - 50) <= 1 + 0.05 * 50, heard.median
    delays = sorted(heard.delays)
    assert delays[0] > 45 - 0.1, "none is quicker than delay - jitter"
    assert delays[200] < 48 and delays[3800] > 52
    assert sorted(heard.numbers) == list(range(4000))
    if network.order("status")["shaping"]["by"] == "nfqueue":  # netem draws each delay by itself
        assert heard.numbers == list(range(4000))


def test_twice_the_rate_fills_the_queue_and_loses_half(network: Network) -> None:
    """Bufferbloat: 2 mbit into 1 mbit; what gets through has waited for 200 ms, and each packet takes 8 ms."""
    network.set("park", "up", delay="0ms", rate="1mbit", queue="200ms")
    heard = network.one_way("alice", "relay-1", count=500, rate=250, size=1000)
    assert 0.35 < heard.lost < 0.5, "the queue takes 25 of 500 packets, and half of the others go"
    assert 190 < sorted(heard.delays)[len(heard.delays) * 3 // 4] < 210


def test_toward_is_one_direction_of_the_world(network: Network) -> None:
    network.set("park", toward="home", loss="100%")
    address = "198.51.100.18"  # alice
    assert "100% packet loss" in network.inside("bob", "ping", "-c", "2", "-i", "0.2", "-W", "1", address)
    assert " 0% packet loss" in network.inside("carol", "ping", "-c", "2", "-i", "0.2", "-W", "1", address)
    assert network.one_way("alice", "relay-1", count=200).lost == 0


@pytest.mark.parametrize(("sender", "receiver"), [("alice", "relay-1"), ("relay-1", "alice")])
def test_packets_above_the_mtu_are_refused_with_icmp_or_vanish(network: Network, sender: str, receiver: str) -> None:
    network.set("park", mtu="1492", blackhole="yes")
    assert network.one_way(sender, receiver, count=20, rate=100, size=1493).lost == 1
    assert network.one_way(sender, receiver, count=20, rate=100, size=1492).lost == 0
    network.set("park", blackhole="no")
    refused = network.one_way(sender, receiver, count=20, rate=100, size=1493)
    assert (refused.error, refused.lost) == ("Message too long", 1), "said by an ICMP error that came back"
    assert network.one_way(sender, receiver, count=20, rate=100, size=1492).lost == 0
    network.set("park", mtu="1500")
    assert network.one_way(sender, receiver, count=20, rate=100, size=1500).lost == 0


def test_a_change_loses_nothing_that_is_under_way(network: Network) -> None:
    """Neither of the figures of this link, nor of which links are shaped at all. By netem each packet keeps the delay
    that it was given, so those behind a change to a shorter one overtake; the queue lets none overtake."""
    network.set("park", "up", delay="400ms")

    def change() -> None:
        network.set("home", delay="0ms")
        network.set("park", "up", delay="10ms")
        network.set("home", delay="20ms")

    heard = network.one_way("alice", "relay-1", count=4000, rate=1000, during=change)
    assert sorted(heard.numbers) == list(range(4000))
    delays = dict(zip(heard.numbers, heard.delays, strict=True))
    assert delays[0] > 20 and delays[3999] < 20
    if network.order("status")["shaping"]["by"] == "nfqueue":
        assert heard.numbers == list(range(4000))


def test_a_reader_that_is_killed_gets_a_successor_and_says_so(network: Network) -> None:
    """No packet passes unimpaired in between: without a reader the queue lets nothing through."""
    status = network.order("status")["shaping"]
    if status["by"] != "nfqueue" or not isinstance(network, LabNetwork):
        pytest.skip("this kernel has netem; there is no reader")
    lines = network.lab.logs("core", follow=True, since=time.time())
    network.inside("core", "pkill", "-KILL", "-f", "lab.boot.reader")
    events = (json.loads(line) for line in lines)
    told = next(line for line in events if line["event"] == "links-interrupted")
    assert told["restarts"] == status["restarts"] + 1
    after = network.order("status")["shaping"]
    assert (after["links"], after["seed"]) == (status["links"], status["seed"])
    heard = network.one_way("alice", "relay-1")
    assert asked(heard, 10) and heard.lost == 0, heard
