"""Which axes go together.

Pure. Belongs here: one reason a rule. Never: how a combination is rendered.
"""

from lab.errors import ConfigError
from lab.nat.axes import ALL_PORTS, Allocation, Behaviour, Filtering, Mapping, Pooling, Timers, Translation

MOST_IN_ORDER = 4096
"""Ports that are given out one after the other: each is an element of one table in the kernel."""


def sensible(axes: Translation) -> None:
    """Raises ConfigError with the reason where a combination makes no sense."""
    for name, behaviour in (("UDP", axes.udp), ("TCP", axes.tcp)):
        _one_transport(name, behaviour, axes)
    in_order(axes.timers)
    if axes.ports_per_host is not None and axes.ports_per_host > axes.ports.size:
        raise ConfigError(
            f"ports-per-host={axes.ports_per_host} is more than the {axes.ports.size} ports of ports={axes.ports}"
        )
    if not axes.clash_free:
        _splits_on_clashes(axes)


def in_order(timers: Timers) -> None:
    """Raises ConfigError where an answer would shorten a life."""
    if timers.udp_timeout_one_way > timers.udp_timeout:
        raise ConfigError(
            f"udp-timeout-one-way={timers.udp_timeout_one_way} outlasts udp-timeout={timers.udp_timeout}: "
            "a mapping that was answered does not end sooner than one that was not"
        )


def _one_transport(name: str, behaviour: Behaviour, axes: Translation) -> None:
    if behaviour.allocation is Allocation.PRESERVING:
        if behaviour.mapping is not Mapping.ENDPOINT_INDEPENDENT:
            raise ConfigError(
                f"{name}: {behaviour.mapping} mapping cannot preserve ports: it needs another port for another "
                "destination; take allocation=random or sequential"
            )
        if axes.ports_per_host is not None:
            raise ConfigError(
                f"{name}: a block of {axes.ports_per_host} ports a host cannot preserve ports; take allocation=random"
            )
    if behaviour.allocation is Allocation.SEQUENTIAL:
        if axes.ports_per_host is not None:
            raise ConfigError(
                f"{name}: ports go up in one order for all hosts, so none has a block; take ports-per-host=all"
            )
        if axes.ports.size > MOST_IN_ORDER:
            raise ConfigError(
                f"{name}: at most {MOST_IN_ORDER} ports are given out in order, got {axes.ports.size} "
                f"(ports={axes.ports}); take ports=40000-44095 or fewer"
            )


def _splits_on_clashes(axes: Translation) -> None:
    """Mappings that split on a clash of ports are what stock MASQUERADE gives, and nothing else gives."""
    stock = Behaviour(Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT, Allocation.PRESERVING)
    wrong = [name for name, behaviour in (("UDP", axes.udp), ("TCP", axes.tcp)) if behaviour != stock]
    if wrong or axes.hairpinning or axes.ports != ALL_PORTS:
        raise ConfigError(
            "clash-free=no is stock MASQUERADE: endpoint-independent mapping, address-and-port-dependent filtering, "
            "ports preserved, all of them, no hairpinning; take clash-free=yes for anything else"
        )
    if axes.pooling is not Pooling.PAIRED:
        # SNAT's own choice, without --persistent, hangs on both ends: toward one destination a host has one address
        raise ConfigError(
            "clash-free=no is stock SNAT, which chooses an outer address by the host or by the two ends, "
            "and never at random; take clash-free=yes for pooling=arbitrary"
        )
