"""What counts as the same: exactly, or within the tolerance that is stated."""

from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest

from lab.certify.behaviour import Behaviour, Link, OneWay, Outbound, Tcp
from lab.certify.comparing import FALSE_ALARM, Draw, deviation, differences

OUT = Outbound(True, True, "anything", True, True)
LINK = Link(10.0, 0.0, OneWay(10.0, 0.0, 1500, False), OneWay(10.0, 0.0, 1500, False))
CLAIMED = Behaviour("endpoint-independent", "address-dependent", "preserving", True, 15.0, LINK, OUT)


def axes(measured: Behaviour, claimed: Behaviour = CLAIMED) -> set[str]:
    return {one.axis for one in differences(claimed, measured, 1000)}


def test_the_same_agrees() -> None:
    assert axes(CLAIMED) == set()


BESIDE = ["refreshed_by", "icmp_errors", "outlives_icmp", "fragments"]


@pytest.mark.parametrize(
    "axis", ["mapping", "filtering", "allocation", "hairpinning", "udp_timeout_s", "unsolicited", *BESIDE]
)
def test_another_value_does_not(axis: str) -> None:
    assert axes(replace(CLAIMED, **{axis: "another"})) == {axis}
    assert axes(replace(CLAIMED, **{axis: None})) == ({axis} if getattr(CLAIMED, axis) is not None else set())


@pytest.mark.parametrize(
    ("delay", "agrees"), [(10.0, True), (11.49, True), (8.51, True), (11.51, False), (8.49, False)]
)
def test_a_delay_agrees_within_a_millisecond_and_five_percent(delay: float, agrees: bool) -> None:
    measured = replace(CLAIMED, link=replace(LINK, up=replace(LINK.up, delay_ms=delay)))
    assert (axes(measured) == set()) is agrees


@pytest.mark.parametrize(
    ("asked", "seen", "agrees"),
    [
        (0.0, 0.0, True),
        (0.0, 0.003, True),
        (0.0, 0.01, False),
        (0.1, 0.137, True),
        (0.1, 0.139, False),
        (0.1, 0.0, False),
    ],
)
def test_a_loss_agrees_within_four_sigma_of_its_probes(asked: float, seen: float, agrees: bool) -> None:
    claimed = replace(CLAIMED, link=replace(LINK, up=replace(LINK.up, loss=asked)))
    measured = replace(CLAIMED, link=replace(LINK, up=replace(LINK.up, loss=seen)))
    assert (axes(measured, claimed) == set()) is agrees


def test_four_sigma_are_narrow_enough_to_tell_five_percent_from_ten() -> None:
    assert 4 * deviation(0.1, 1000) < 0.04


@pytest.mark.parametrize(
    ("axis", "seen", "agrees"),
    [
        ("ports", (20100, 29000), True),
        ("ports", (19999, 29000), False),
        ("ports", (40000, 49999), False),
        ("ports", None, False),
        ("ports_per_host", 60, True),
        ("ports_per_host", 65, False),
        ("ports_per_host", None, False),
        ("pooling", "paired", True),
        ("pooling", "arbitrary", False),
    ],
)
def test_each_transport_s_ports_and_addresses_are_compared(axis: str, seen: object, agrees: bool) -> None:
    says: dict[str, Any] = {"ports": (20000, 29999), "ports_per_host": 64, "pooling": "paired"}
    does = {**says, axis: seen}
    other = {"ports": (40000, 49999), "ports_per_host": 1024, "pooling": "arbitrary"}
    of_tcp = axes(replace(CLAIMED, tcp=Tcp(**does), **other), replace(CLAIMED, tcp=Tcp(**says), **other))
    assert of_tcp == (set() if agrees else {f"tcp.{axis}"})
    of_udp = axes(replace(CLAIMED, tcp=Tcp(**other), **does), replace(CLAIMED, tcp=Tcp(**other), **says))
    assert of_udp == (set() if agrees else {axis})


@pytest.mark.parametrize(
    ("seconds", "agrees"), [(15.0, True), (16.2, True), (13.9, True), (18.8, False), (11.3, False)]
)
def test_a_timeout(seconds: float, agrees: bool) -> None:
    assert (axes(replace(CLAIMED, udp_timeout_s=seconds)) == set()) is agrees


@pytest.mark.parametrize("timer", ["timeout_s", "transitory_timeout_s"])
def test_a_timer_of_tcp(timer: str) -> None:
    claimed = replace(CLAIMED, tcp=replace(CLAIMED.tcp, **{timer: 20.0}))
    for seconds, wrong in ((21.4, set()), (21.6, {f"tcp.{timer}"}), (None, {f"tcp.{timer}"})):
        assert axes(replace(CLAIMED, tcp=replace(CLAIMED.tcp, **{timer: seconds})), claimed) == wrong


def test_ports_seen_inside_the_claimed_range_are_the_range() -> None:
    claimed = replace(CLAIMED, ports=(40000, 49999))
    assert axes(replace(CLAIMED, ports=(40123, 48000)), claimed) == set()
    assert axes(replace(CLAIMED, ports=(39999, 48000)), claimed) == {"ports"}


def drawn(seen: tuple[int, int], times: int, among: int = 64_512, allocation: str = "random") -> set[str]:
    says = replace(CLAIMED, allocation="random", ports=(1024, 65_535))
    does = replace(says, allocation=allocation, ports=seen)
    return {one.axis for one in differences(says, does, 1000, draws={"ports": Draw(among, times)})}


@pytest.mark.parametrize(
    ("seen", "times", "agrees"),
    [
        ((50_000, 50_003), 32, False),
        ((50_000, 50_003), 4, False),
        ((50_000, 50_000), 8, False),
        ((40_000, 49_999), 32, False),
        ((40_000, 49_999), 8, True),
        ((30_000, 60_000), 32, True),
        ((50_000, 50_003), 1, True),
    ],
)
def test_ports_drawn_from_a_far_narrower_range_than_is_claimed_are_not_its(
    seen: tuple[int, int], times: int, agrees: bool
) -> None:
    assert drawn(seen, times) == (set() if agrees else {"ports"})


def test_ports_of_a_host_s_own_block_lie_as_close_together_as_the_block_is_small() -> None:
    assert drawn((2048, 3000), 32, among=1024) == set()
    assert drawn((2048, 2111), 32, among=1024) == {"ports"}


@pytest.mark.parametrize("allocation", ["preserving", "sequential"])
def test_ports_that_are_not_drawn_by_chance_may_lie_close_together(allocation: str) -> None:
    assert drawn((50_000, 50_031), 32, allocation=allocation) == {"allocation"}
    says = replace(CLAIMED, allocation=allocation, ports=(1024, 65_535))
    assert differences(says, replace(says, ports=(50_000, 50_031)), 1000) == ()


@pytest.mark.parametrize("times", [8, 16, 32])
@pytest.mark.parametrize("even", [True, False], ids=["even", "as Linux draws"])
def test_a_draw_from_the_whole_range_is_called_too_narrow_less_than_once_in_a_million(times: int, even: bool) -> None:
    """Whichever port is the lowest, all others lie within the widest range that is called too narrow."""
    among = 64_512
    width = next(wide for wide in range(1, among) if Draw(among, times).covers((1, wide))) - 1
    weights = [1 if even or port >= 1024 else 2 for port in range(among)]
    below = [0, *accumulate(weights)]
    within = (below[min(among, port + width)] - below[port] for port in range(among))
    shares = [(weight / below[-1], near / below[-1]) for weight, near in zip(weights, within, strict=True)]
    assert width > 1000
    assert sum(times * share * near ** (times - 1) for share, near in shares) < FALSE_ALARM


def test_a_difference_of_ports_says_how_far_apart_they_were_to_lie() -> None:
    says = replace(CLAIMED, allocation="random", ports=(1024, 65_535))
    (one,) = differences(says, replace(says, ports=(5000, 5003)), 1000, draws={"ports": Draw(64_512, 32)})
    assert str(one) == "ports: claimed 1024-65535 (within the spread of 32 draws from 64512), measured 5000-5003"


def test_a_difference_says_what_was_claimed_measured_and_tolerated() -> None:
    (one, *_) = differences(CLAIMED, replace(CLAIMED, udp_timeout_s=120.0), 1000)
    assert str(one) == "udp_timeout_s: claimed 15 (within 0.5 s + 5%), measured 120"
