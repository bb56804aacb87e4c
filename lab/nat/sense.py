"""Which axes go together.

Pure. Belongs here: one reason a rule. Never: how a combination is rendered.
"""

from dataclasses import replace

from lab.errors import ConfigError
from lab.nat.axes import Allocation, Behaviour, Filtering, Mapping, Timers, Translation

MOST_IN_ORDER = 4096
"""Ports that are given out one after the other: each is an element of one table in the kernel."""


def sensible(axes: Translation) -> None:
    """Raises ConfigError with the reason where a combination makes no sense."""
    for name, behaviour in (("UDP", axes.udp), ("TCP", axes.tcp)):
        _one_transport(name, behaviour)
    in_order(axes.timers)
    if not axes.clash_free:
        _splits_on_clashes(axes)


def in_order(timers: Timers) -> None:
    """Raises ConfigError where an answer would shorten a life."""
    if timers.udp_timeout_one_way > timers.udp_timeout:
        raise ConfigError(
            f"udp-timeout-one-way={timers.udp_timeout_one_way} outlasts udp-timeout={timers.udp_timeout}: "
            "a mapping that was answered does not end sooner than one that was not"
        )
    if timers.tcp_transitory_timeout > timers.tcp_timeout:
        raise ConfigError(
            f"tcp-transitory-timeout={timers.tcp_transitory_timeout} outlasts tcp-timeout={timers.tcp_timeout}: "
            "a connection that stands is not forgotten sooner than one half open"
        )


def _one_transport(name: str, behaviour: Behaviour) -> None:
    ports, block = behaviour.ports, behaviour.ports_per_host
    if behaviour.allocation is Allocation.PRESERVING:
        if behaviour.mapping is not Mapping.ENDPOINT_INDEPENDENT:
            raise ConfigError(
                f"{name}: {behaviour.mapping} mapping cannot preserve ports: it needs another port for another "
                "destination; take allocation=random or sequential"
            )
        if block is not None:
            raise ConfigError(f"{name}: a block of {block} ports a host cannot preserve ports; take allocation=random")
    if behaviour.allocation is Allocation.SEQUENTIAL:
        if block is not None:
            raise ConfigError(
                f"{name}: ports go up in one order for all hosts, so none has a block; take ports-per-host=all"
            )
        if ports.size > MOST_IN_ORDER:
            raise ConfigError(
                f"{name}: at most {MOST_IN_ORDER} ports are given out in order, got {ports.size} "
                f"(ports={ports}); take ports=40000-44095 or fewer"
            )
    if block is not None and block > ports.size:
        raise ConfigError(f"{name}: ports-per-host={block} is more than the {ports.size} ports of ports={ports}")


def _splits_on_clashes(axes: Translation) -> None:
    """Mappings that split on a clash of ports are what stock MASQUERADE gives, and nothing else gives."""
    stock = Behaviour(Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT, Allocation.PRESERVING)
    both = (("UDP", axes.udp), ("TCP", axes.tcp))
    wrong = [name for name, behaviour in both if replace(behaviour, pooling=stock.pooling) != stock]
    if wrong:
        raise ConfigError(
            f"{' and '.join(wrong)}: clash-free=no is stock MASQUERADE: endpoint-independent mapping, "
            "address-and-port-dependent filtering, ports preserved, all of them, no hairpinning; take clash-free=yes "
            "for anything else"
        )
    wrong = [name for name, behaviour in both if behaviour.pooling is not stock.pooling]
    if wrong:
        # SNAT's own choice, without --persistent, hangs on both ends: toward one destination a host has one address
        raise ConfigError(
            f"{' and '.join(wrong)}: clash-free=no is stock SNAT, which chooses an outer address by the host or by the "
            "two ends, and never at random; take clash-free=yes for pooling=arbitrary"
        )
