"""Axes as text over a preset's, and combinations that make no sense."""

import pytest

from lab.errors import ConfigError
from lab.nat import Allocation, Filtering, Mapping, Pooling, PortRange, Timers, Translation, profile


def axes(nat: str, text: str = "") -> Translation:
    translation = profile(nat, text).translation
    assert translation is not None
    return translation


# design: preset -> mapping, filtering, allocation, hairpinning, UDP timeout in seconds
PRESETS = {
    "full-cone": ("endpoint-independent", "endpoint-independent", "preserving", True, 120),
    "restricted-cone": ("endpoint-independent", "address-dependent", "preserving", False, 120),
    "port-restricted-cone": ("endpoint-independent", "address-and-port-dependent", "preserving", False, 120),
    "address-dependent": ("address-dependent", "address-dependent", "random", False, 120),
    "symmetric": ("address-and-port-dependent", "address-and-port-dependent", "random", False, 60),
    "symmetric-sequential": ("address-and-port-dependent", "address-and-port-dependent", "sequential", False, 60),
    "linux": ("endpoint-independent", "address-and-port-dependent", "preserving", False, 120),
    "rfc4787": ("endpoint-independent", "address-dependent", "preserving", True, 300),
    "carrier-grade": ("endpoint-independent", "address-dependent", "random", True, 300),
}


@pytest.mark.parametrize("nat", PRESETS)
def test_presets_expand_to_their_axes(nat: str) -> None:
    found = axes(nat)
    udp = found.udp
    assert (udp.mapping, udp.filtering, udp.allocation, found.hairpinning, found.udp_timeout) == PRESETS[nat]
    assert found.tcp == found.udp
    assert (udp.ports_per_host, udp.pooling) == (1024 if nat == "carrier-grade" else None, Pooling.PAIRED)
    assert udp.ports == (PortRange(40000, 44095) if nat == "symmetric-sequential" else PortRange(1024, 65535))


def test_an_axis_replaces_the_preset_s() -> None:
    found = axes(
        "full-cone",
        "udp-timeout=20 tcp-filtering=address-dependent hairpinning=no ports=40000-49999 pooling=arbitrary",
    )
    assert (found.udp_timeout, found.udp_timeout_one_way, found.hairpinning) == (20, 20, False)
    assert (found.udp.filtering, found.tcp.filtering) == (Filtering.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT)
    assert [(one.ports, one.pooling) for one in (found.udp, found.tcp)] == [
        (PortRange(40000, 49999), Pooling.ARBITRARY)
    ] * 2


@pytest.mark.parametrize(
    ("axis", "field", "value", "read"),
    [
        ("ports", "ports", "40000-49999", PortRange(40000, 49999)),
        ("ports-per-host", "ports_per_host", "64", 64),
        ("pooling", "pooling", "arbitrary", Pooling.ARBITRARY),
    ],
)
@pytest.mark.parametrize(("mine", "other"), [("udp", "tcp"), ("tcp", "udp")])
def test_ports_and_addresses_are_of_one_transport_or_of_both(
    mine: str, other: str, axis: str, field: str, value: str, read: object
) -> None:
    found, preset = axes("address-dependent", f"{mine}-{axis}={value}"), axes("address-dependent")
    assert getattr(getattr(found, mine), field) == read
    assert getattr(found, other) == getattr(preset, other)
    both = axes("address-dependent", f"{axis}={value}")
    assert both.udp == both.tcp == getattr(found, mine)


@pytest.mark.parametrize("nat", ["open", "symmetric"])
def test_timers_are_of_what_is_only_forwarded_too(nat: str) -> None:
    """A stateful firewall goes by them, where nothing is translated or on IPv6."""
    assert profile(nat).timers == Timers(30, 120, 120, 432_000)
    found = profile(nat, "udp-timeout=20 tcp-timeout=40 tcp-transitory-timeout=10")
    assert found.timers == Timers(20, 20, 10, 40)
    assert found.translation is None or found.translation.timers == found.timers


def test_an_axis_without_a_transport_is_of_both() -> None:
    found = axes("symmetric", "mapping=endpoint-independent,allocation=preserving")
    assert found.udp == found.tcp
    assert (found.udp.mapping, found.udp.allocation) == (Mapping.ENDPOINT_INDEPENDENT, Allocation.PRESERVING)


@pytest.mark.parametrize(
    ("nat", "text", "words"),
    [
        ("linux", "colour=red", "unknown axis 'colour=red'; allowed, each with =VALUE: mapping, "),
        ("linux", "mapping", "unknown axis 'mapping'"),
        ("linux", "mapping=cone", "axis mapping: unknown value 'cone'; allowed: endpoint-independent, address-dep"),
        ("full-cone", "tcp-hairpinning=maybe", "axis tcp-hairpinning: unknown value 'maybe'; allowed: yes, no"),
        ("linux", "tcp-hairpinning=yes", "clash-free=no is stock MASQUERADE"),
        ("linux", "hairpinning=maybe", "axis hairpinning: unknown value 'maybe'; allowed: yes, no"),
        ("linux", "udp-timeout=0", "axis udp-timeout: expected whole seconds from 1 to 864000, got '0'"),
        ("linux", "udp-timeout=2m", "axis udp-timeout: expected whole seconds"),
        ("full-cone", "ports=80-443", "axis ports: expected a range of ports within 1024-65535"),
        ("full-cone", "ports=5000-4000", "axis ports: expected a range"),
        ("full-cone", f"ports={'9' * 5000}-1", "axis ports: expected a range"),
        ("full-cone", f"udp-timeout={'9' * 5000}", "axis udp-timeout: expected whole seconds"),
        ("full-cone", f"ports-per-host={'9' * 5000}", "axis ports-per-host: expected a number"),
        ("full-cone", "ports-per-host=0", "axis ports-per-host: expected a number of ports or all, got '0'"),
        (
            "open",
            "ports=40000-49999",
            "axis ports: a router that translates nothing has timers alone: udp-timeout",
        ),
        ("open", "udp-timeout=none", "axis udp-timeout: expected whole seconds"),
        ("open", "udp-timeout=40 udp-timeout-one-way=50", "udp-timeout-one-way=50 outlasts udp-timeout=40"),
        ("open", "udp-timeout-one-way=50 udp-timeout=40", "udp-timeout-one-way=50 outlasts udp-timeout=40"),
        ("open", "tcp-timeout=20 tcp-transitory-timeout=30", "tcp-transitory-timeout=30 outlasts tcp-timeout=20"),
        ("symmetric", "tcp-transitory-timeout=30 tcp-timeout=20", "tcp-transitory-timeout=30 outlasts tcp-timeout=20"),
        ("rfc4787", "tcp-transitory-timeout=7441", "tcp-transitory-timeout=7441 outlasts tcp-timeout=7440"),
        ("symmetric", "allocation=preserving", "address-and-port-dependent mapping cannot preserve ports"),
        ("full-cone", "ports-per-host=1024", "a block of 1024 ports a host cannot preserve ports"),
        ("symmetric-sequential", "ports-per-host=64", "ports go up in one order for all hosts"),
        ("symmetric", "allocation=sequential", "at most 4096 ports are given out in order, got 64512"),
        ("carrier-grade", "ports=2000-2999", "ports-per-host=1024 is more than the 1000 ports"),
        ("linux", "udp-timeout=40 udp-timeout-one-way=50", "udp-timeout-one-way=50 outlasts udp-timeout=40"),
        ("linux", "hairpinning=yes", "clash-free=no is stock MASQUERADE"),
        ("linux", "filtering=endpoint-independent", "clash-free=no is stock MASQUERADE"),
        ("linux", "pooling=arbitrary", "clash-free=no is stock SNAT, which chooses an outer address by the host"),
        ("linux", "tcp-pooling=arbitrary", "TCP: clash-free=no is stock SNAT, which chooses an outer address by"),
        ("linux", "tcp-ports=40000-49999", "TCP: clash-free=no is stock MASQUERADE"),
        ("linux", "udp-hairpinning=yes", "UDP: clash-free=no is stock MASQUERADE"),
        ("linux", "ports=40000-49999", "UDP and TCP: clash-free=no is stock MASQUERADE"),
        ("full-cone", "tcp-ports-per-host=64", "TCP: a block of 64 ports a host cannot preserve ports"),
        ("symmetric-sequential", "tcp-ports-per-host=64", "TCP: ports go up in one order for all hosts"),
        ("symmetric-sequential", "tcp-ports=1024-6000", "TCP: at most 4096 ports are given out in order, got 4977"),
        ("carrier-grade", "tcp-ports=2000-2999", "TCP: ports-per-host=1024 is more than the 1000 ports of ports=2000"),
        ("carrier-grade", "udp-ports=2000-2999", "UDP: ports-per-host=1024 is more than the 1000 ports of ports=2000"),
        ("full-cone", "tcp-ports=80-443", "axis tcp-ports: expected a range of ports within 1024-65535"),
        ("full-cone", "udp-ports-per-host=0", "axis udp-ports-per-host: expected a number of ports or all, got '0'"),
        ("full-cone", "tcp-pooling=odd", "axis tcp-pooling: unknown value 'odd'; allowed: paired, arbitrary"),
        ("linux", "udp-timeout=20 udp-timeout=30", "axis udp-timeout is given twice"),
        ("rfc4787", "udp-timeout-one-way=301", "udp-timeout-one-way=301 outlasts udp-timeout=300"),
        ("open", "tcp-ports=40000-49999", "axis tcp-ports: a router that translates nothing has timers alone"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(nat: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        profile(nat, text)
    assert words in str(refusal.value)


def test_a_timer_before_an_answer_comes_down_with_the_one_after_it() -> None:
    found = profile("rfc4787", "tcp-timeout=20")
    assert found.translation is not None
    for timers in (found.translation.timers, found.timers):
        assert (timers.tcp_transitory_timeout, timers.tcp_timeout) == (20, 20)
    found = profile("rfc4787", "tcp-transitory-timeout=10 tcp-timeout=20")
    assert (found.timers.tcp_transitory_timeout, found.timers.tcp_timeout) == (10, 20)


def test_a_timer_is_held_against_the_presets_own() -> None:
    found = profile("rfc4787", "udp-timeout-one-way=200")
    assert found.translation is not None and found.translation.udp_timeout_one_way == 200
    assert (found.timers.udp_timeout_one_way, found.timers.udp_timeout) == (200, 200), (
        "IPv6 has the kernel's, 120, else"
    )
