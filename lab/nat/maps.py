"""Translations that iptables has no target for, as text for nft: mappings remembered in maps, filters in sets.

Pure. The mapping behaviour is the key of a map, the allocation is one statement, the filtering is one set; connection
tracking does the rest for each flow. Belongs here: the table `lab`. Never: firewalls.

    out_udp    inner endpoint [, remote address [, remote port]] -> outer endpoint    (RFC 4787, 4.1)
    in_udp     outer endpoint -> inner endpoint, for what comes from outside and for hairpinning
    peers_udp  outer endpoint, remote address: who was written to                     (RFC 4787, 5)
    taken_udp  outer ports in use, an address each: a second host on the same inner port gets another one
    ports      number -> outer port, an address each, and `numbers` the way back: a drawn port can be looked up
               before it is used only as the packet's mark, which is a number
    draw       the chain that draws one; `draw-udp` and `draw-tcp` where the two draw among different ports
    order-udp-0   the chain that takes the next one, an address each
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from lab.nat.axes import (
    ALL_PORTS,
    Allocation,
    Behaviour,
    Filtering,
    FirewallPolicy,
    Mapping,
    Pooling,
    PortRange,
    Translation,
)
from lab.nat.wiring import Wiring

REPLACE = "add table ip lab\ndelete table ip lab\n"
_SIZE = 65536
_PORT_BITS = 0xFFFF
"""Of a flow's mark; the firewalls have one above."""
_DRAWS = 12
"""Ports that are drawn for a new mapping before one in use is accepted: where half are in use, one in 4,096 is."""
_TRANSPORTS = ("udp", "tcp")


def translation(axes: Translation, firewall: FirewallPolicy, wiring: Wiring) -> str:
    """The table, which replaces the former one and all that it remembered."""
    behaviours = {"udp": axes.udp, "tcp": axes.tcp}
    lines = ["table ip lab {"]
    for name in _TRANSPORTS:
        lines += _stores(name, behaviours[name], wiring)
    lines += _lottery(behaviours, wiring)
    for number, address in enumerate(wiring.outer_addresses):
        lines += _chain(f"address-{number}", _address(behaviours, wiring, number, address))
    lines += _chain("translate", _translate(behaviours, wiring))
    for name in _TRANSPORTS:
        lines += _chain(f"remember-{name}", list(_remember(name, behaviours[name], axes, wiring)))
    lines += _chain("prerouting", _prerouting(behaviours, firewall, wiring), "nat hook prerouting priority dstnat")
    lines += _chain("postrouting", _postrouting(axes, wiring), "nat hook postrouting priority srcnat")
    jumps = {name: f"meta l4proto {name} jump remember-{name}" for name in _TRANSPORTS}
    after = [f'oifname "{wiring.wan}" {jump}' for jump in jumps.values()]
    back = [jump for name, jump in jumps.items() if behaviours[name].hairpinning]
    after += [f'oifname "{wiring.lan}" ct status dnat {jump}' for jump in back]
    lines += _chain("outbound", after, "filter hook postrouting priority srcnat + 10")
    after = [f'iifname "{wiring.wan}" {jump}' for jump in jumps.values()]
    lines += _chain("inbound", after, "filter hook forward priority filter + 10")
    return REPLACE + "\n".join([*lines, "}"]) + "\n"


# --- what is kept ------------------------------------------------------------


def _keeps_out(behaviour: Behaviour) -> bool:
    """A flow of its own for every destination needs no memory but the flow's."""
    return behaviour.mapping is not Mapping.ADDRESS_AND_PORT_DEPENDENT


def _keeps_in(behaviour: Behaviour) -> bool:
    return behaviour.filtering is not Filtering.ADDRESS_AND_PORT_DEPENDENT or behaviour.hairpinning


def _keeps_peers(behaviour: Behaviour) -> bool:
    return behaviour.filtering is Filtering.ADDRESS_DEPENDENT


def _draws(behaviour: Behaviour) -> bool:
    """Whether a new port is looked up before it is used. Connection tracking takes care of ports that are free for one
    remote endpoint; where a mapping is for more than one, its port must be nobody else's (RFC 4787, REQ-3).

    Of all ports that are kept one is in use already by a chance so small that it needs no tables of 64,512.
    """
    if behaviour.allocation is Allocation.PRESERVING and behaviour.ports == ALL_PORTS:
        return False
    return _keeps_out(behaviour) or _keeps_in(behaviour)


def _keeps_taken(behaviour: Behaviour) -> bool:
    return behaviour.allocation is Allocation.PRESERVING or _draws(behaviour)


def _stores(name: str, behaviour: Behaviour, wiring: Wiring) -> Iterator[str]:
    endpoint = "ipv4_addr . inet_service"
    key = {
        Mapping.ENDPOINT_INDEPENDENT: endpoint,
        Mapping.ADDRESS_DEPENDENT: f"{endpoint} . ipv4_addr",
        Mapping.ADDRESS_AND_PORT_DEPENDENT: f"{endpoint} . {endpoint}",
    }[behaviour.mapping]
    if _keeps_out(behaviour):
        yield _store("map", f"out_{name}", f"{key} : {endpoint}")
    if _keeps_in(behaviour):
        yield _store("map", f"in_{name}", f"{endpoint} : {endpoint}")
    if _keeps_peers(behaviour):
        yield _store("set", f"peers_{name}", f"{endpoint} . ipv4_addr")
    if _keeps_taken(behaviour):
        for number in range(len(wiring.outer_addresses)):
            yield _store("set", f"taken_{name}_{number}", "mark" if _draws(behaviour) else "inet_service")


def _store(kind: str, name: str, of: str) -> str:
    # a set that packets add to needs a timeout of its own; every element brings the one that counts
    return f"  {kind} {name} {{\n    type {of}\n    flags dynamic,timeout\n    size {_SIZE}\n    timeout 1h\n  }}"


def _remember(name: str, behaviour: Behaviour, axes: Translation, wiring: Wiring) -> Iterator[str]:
    """Every packet that passes, in either direction, keeps what its flow stands on; see the timeouts of Translation."""
    if name == "udp":
        phases = [("ct status & seen-reply == 0", axes.udp_timeout_one_way), ("ct status seen-reply", axes.udp_timeout)]
        if axes.udp_timeout_one_way == axes.udp_timeout:
            phases = [("", axes.udp_timeout)]
    else:
        phases = [("ct status & assured == 0", axes.tcp_transitory_timeout), ("ct status assured", axes.tcp_timeout)]
    inside = wiring.inside
    for condition, seconds in phases:
        # opened from inside; opened from outside (or by hairpinning), where the reply is the inner host's
        mine = f"meta l4proto {name} {condition} ct original ip saddr {inside}"
        theirs = f"meta l4proto {name} {condition} ct status dnat ct reply ip saddr {inside}"
        yield from _updates(name, behaviour, wiring, mine, seconds, "original", "reply")
        yield from _updates(name, behaviour, wiring, theirs, seconds, "reply", "original")


def _updates(
    name: str,
    behaviour: Behaviour,
    wiring: Wiring,
    when: str,
    seconds: int,
    host: str,
    world: str,
) -> Iterator[str]:
    """`host`: the direction that the inner host sends in; what it looks like outside is the other one's destination."""
    inner = f"ct {host} ip saddr . ct {host} proto-src"
    outer = f"ct {world} ip daddr . ct {world} proto-dst"
    remote = f"ct {world} ip saddr"
    key = {
        Mapping.ENDPOINT_INDEPENDENT: inner,
        Mapping.ADDRESS_DEPENDENT: f"{inner} . {remote}",
        Mapping.ADDRESS_AND_PORT_DEPENDENT: f"{inner} . {remote} . ct {world} proto-src",
    }[behaviour.mapping]
    kept = f"timeout {seconds}s"
    if _keeps_out(behaviour):
        yield f"{when} update @out_{name} {{ {key} {kept} : {outer} }}"
    if _keeps_in(behaviour):
        yield f"{when} update @in_{name} {{ {outer} {kept} : {inner} }}"
    if _keeps_peers(behaviour):
        yield f"{when} update @peers_{name} {{ {outer} . {remote} {kept} }}"
    if _keeps_taken(behaviour):
        port = f"ct {world} proto-dst"
        if _draws(behaviour):
            yield f"{when} ct mark 0 ct mark set {port} map @numbers"
            port = f"ct mark and {_PORT_BITS:#x}"
        for number, address in enumerate(wiring.outer_addresses):
            yield f"{when} ct {world} ip daddr {address} update @taken_{name}_{number} {{ {port} {kept} }}"


# --- from inside ------------------------------------------------------------


def _postrouting(axes: Translation, wiring: Wiring) -> list[str]:
    rules = [f'oifname "{wiring.wan}" jump translate']
    if axes.hairpinning:  # RFC 4787, REQ-9: with the outer address as its source
        rules.append(f'oifname "{wiring.lan}" ct status dnat ip saddr {wiring.inside} jump translate')
    return rules


def _translate(behaviours: dict[str, Behaviour], wiring: Wiring) -> list[str]:
    """A mapping that is known, else a new one."""
    rules = []
    for name, behaviour in behaviours.items():
        if _keeps_out(behaviour):
            to = " . ip daddr" if behaviour.mapping is Mapping.ADDRESS_DEPENDENT else ""
            rules.append(f"meta l4proto {name} snat ip to ip saddr . {name} sport{to} map @out_{name}")
    count = len(wiring.outer_addresses)
    if count == 1:
        return [*rules, "goto address-0"]
    ways = f"mod {count} vmap {{ {', '.join(f'{number} : goto address-{number}' for number in range(count))} }}"
    arbitrary = [name for name, behaviour in behaviours.items() if behaviour.pooling is Pooling.ARBITRARY]
    if len(arbitrary) == len(behaviours):
        return [*rules, f"numgen random {ways}"]
    # what has no ports goes with the paired one: no host is seen under two addresses without need
    return [*rules, *(f"meta l4proto {name} numgen random {ways}" for name in arbitrary), f"jhash ip saddr {ways}"]


def _address(behaviours: dict[str, Behaviour], wiring: Wiring, number: int, address: IPv4Address) -> list[str]:
    """A new mapping on one outer address; what has no ports keeps what it has in their place."""
    rules = []
    for name, behaviour in behaviours.items():
        ports, taken = behaviour.ports, f"@taken_{name}_{number}"
        draw = f"draw{_apart(name, behaviours)}"
        if behaviour.allocation is Allocation.SEQUENTIAL:
            draw = f"order-{name}-{number}"
        drawn = [
            f"meta l4proto {name} jump {draw}",
            f"meta l4proto {name} meta mark != {taken} snat ip to meta mark map @ports_{number}",
        ] * _DRAWS
        drawn.append(f"meta l4proto {name} snat ip to meta mark map @ports_{number}")
        match behaviour.allocation:
            case Allocation.PRESERVING if _draws(behaviour):
                rules.append(f"{name} sport {ports} meta mark set {name} sport map @numbers")
                rules.append(f"{name} sport {ports} meta mark != {taken} snat to {address}")
                rules += drawn
            case Allocation.PRESERVING:
                rules.append(f"{name} sport {ports} {name} sport != {taken} snat to {address}")
                rules.append(f"meta l4proto {name} snat to {address}:{ports} fully-random")
            case _ if _draws(behaviour):
                rules += drawn
            case Allocation.SEQUENTIAL:
                rules.append(f"meta l4proto {name} snat ip to {_in_order(ports, address)}")
            case Allocation.RANDOM if behaviour.ports_per_host is not None:
                rules.append(f"meta l4proto {name} snat ip to {_blocks(behaviour, wiring, address)} fully-random")
            case Allocation.RANDOM:
                rules.append(f"meta l4proto {name} snat to {address}:{ports} fully-random")
    return [*rules, f"snat to {address}"]


def _in_order(among: PortRange, address: IPv4Address) -> str:
    """The next port for every mapping; a table, because a number straight behind the colon counts in bytes' order."""
    outer = str(address)  # once: there are thousands of ports
    ports = ", ".join(f"{index} : {outer} . {among.first + index}" for index in range(among.size))
    return f"numgen inc mod {among.size} map {{ {ports} }}"


def _lottery(behaviours: dict[str, Behaviour], wiring: Wiring) -> list[str]:
    """What a port is drawn with, where any protocol does: the tables of numbers serve all, a chain each draws."""
    drawing = {name: one for name, one in behaviours.items() if _draws(one)}
    ports = sorted({port for one in drawing.values() for port in range(one.ports.first, one.ports.last + 1)})
    if not ports:
        return []
    lines = _table("numbers", "inet_service : mark", (f"{port} : {port}" for port in ports))
    for number, address in enumerate(map(str, wiring.outer_addresses)):
        pairs = [f"{port} : {address} . {port}" for port in ports]
        lines += _table(f"ports_{number}", "mark : ipv4_addr . inet_service", pairs)
    for apart, behaviour in {_apart(name, behaviours): one for name, one in _random(drawing).items()}.items():
        lines += _drawing(apart, behaviour, wiring)
    for name, behaviour in drawing.items():
        if behaviour.allocation is Allocation.SEQUENTIAL:
            for number in range(len(wiring.outer_addresses)):
                lines += _chain(f"order-{name}-{number}", [_draw(behaviour.ports, "inc")])
    return lines


def _random(drawing: dict[str, Behaviour]) -> dict[str, Behaviour]:
    """Those of protocols that draw a port by chance."""
    return {name: one for name, one in drawing.items() if one.allocation is not Allocation.SEQUENTIAL}


def _apart(name: str, behaviours: dict[str, Behaviour]) -> str:
    """What is added to the names of a protocol's own chains, where the other one draws among other ports."""
    drawing = {name: one for name, one in behaviours.items() if _draws(one)}
    among = {(one.ports, one.ports_per_host) for one in _random(drawing).values()}
    return f"-{name}" if len(among) > 1 else ""


def _drawing(apart: str, behaviour: Behaviour, wiring: Wiring) -> list[str]:
    if behaviour.ports_per_host is None:
        return _chain(f"draw{apart}", [_draw(behaviour.ports)])
    lines, ways = [], []
    for block in _each_block(behaviour):
        lines += _chain(f"block{apart}-{block.first}", [_draw(block)])
    for host, block in _block_of_each(behaviour, wiring):
        ways.append(f"{host} : goto block{apart}-{block.first}")
    return [*lines, *_chain(f"draw{apart}", [f"ip saddr vmap {{ {', '.join(ways)} }}"])]


def _draw(ports: PortRange, how: str = "random") -> str:
    return f"meta mark set numgen {how} mod {ports.size} offset {ports.first}"


def _table(name: str, of: str, elements: Iterable[str]) -> list[str]:
    return [f"  map {name} {{", f"    type {of}", f"    elements = {{ {', '.join(elements)} }}", "  }"]


def _each_block(behaviour: Behaviour) -> list[PortRange]:
    assert behaviour.ports_per_host is not None
    size = behaviour.ports_per_host
    starts = range(behaviour.ports.first, behaviour.ports.last + 2 - size, size)
    return [PortRange(first, first + size - 1) for first in starts]


def _block_of_each(behaviour: Behaviour, wiring: Wiring) -> Iterator[tuple[IPv4Address, PortRange]]:
    """Each host's own ports, by its number in the network; with more hosts than blocks, some share one."""
    assert wiring.inside is not None
    blocks = _each_block(behaviour)
    for number, host in enumerate(wiring.inside.hosts()):
        yield host, blocks[number % len(blocks)]


def _blocks(behaviour: Behaviour, wiring: Wiring, address: IPv4Address) -> str:
    elements = [f"{host} : {address} . {ports}" for host, ports in _block_of_each(behaviour, wiring)]
    return f"ip saddr map {{ {', '.join(elements)} }}"


# --- from outside ------------------------------------------------------------


def _prerouting(behaviours: dict[str, Behaviour], firewall: FirewallPolicy, wiring: Wiring) -> list[str]:
    """Who was written to in that very flow comes in by connection tracking; here is who else may."""
    rules = []
    for name, behaviour in behaviours.items():
        inner = f"dnat ip to ip daddr . {name} dport map @in_{name}"
        if firewall.inbound and behaviour.filtering is Filtering.ENDPOINT_INDEPENDENT:
            rules.append(f'iifname "{wiring.wan}" meta l4proto {name} {inner}')
        if firewall.inbound and behaviour.filtering is Filtering.ADDRESS_DEPENDENT:
            known = f"ip daddr . {name} dport . ip saddr @peers_{name}"
            rules.append(f'iifname "{wiring.wan}" meta l4proto {name} {known} {inner}')
        if behaviour.hairpinning:  # unfiltered: the neighbour behind the same router is written to as anybody outside
            outer = ", ".join(map(str, wiring.outer_addresses))
            rules.append(f'iifname "{wiring.lan}" ip daddr {{ {outer} }} meta l4proto {name} {inner}')
    return rules


def _chain(name: str, rules: list[str], hook: str | None = None) -> list[str]:
    head = [f"    type {hook}; policy accept"] if hook else []
    return [f"  chain {name} {{", *head, *(f"    {rule}" for rule in rules), "  }"]


def prefixes(wiring: Wiring) -> str:
    """NPTv6 (RFC 6296 in what it does to addresses; tracked by the kernel): prefixes are exchanged, no port changes."""
    if wiring.lan6 is None or wiring.outer6 is None:
        return ""
    inner, outer, wan = wiring.lan6.network, wiring.outer6, wiring.wan
    rules = (
        (
            "postrouting priority srcnat",
            f'oifname "{wan}" ip6 saddr {inner} snat ip6 prefix to ip6 saddr map {{ {inner} : {outer} }}',
        ),
        (
            "prerouting priority dstnat",
            f'iifname "{wan}" ip6 daddr {outer} dnat ip6 prefix to ip6 daddr map {{ {outer} : {inner} }}',
        ),
    )
    lines = ["table ip6 lab {"]
    for hook, rule in rules:
        lines += _chain(hook.partition(" ")[0], [rule], f"nat hook {hook}")
    return "\n".join([*lines, "}"]) + "\n"
