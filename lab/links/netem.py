"""The links as queueing disciplines of the kernel, as text for `tc -batch`: netem for delay and loss, tbf for the rate.

Pure. Belongs here: classes, disciplines and filters of core's one interface. Never: running tc.
Up is shaped where packets come in (through an ifb), by source; down where they go out, by destination. A pair of sites
with a figure of its own (toward) has a class of its own for the way up, with the whole rate for itself.
tbf counts Ethernet's 14 bytes into the rate, 1 % of a full packet; packets of core itself share the way down.
Jitter is netem's: it draws each packet's delay by itself, evenly, so one packet may overtake another (tc-netem(8)). A
rate would keep their order, but by holding each until the slowest before it has left: at many packets a second all of
them would take nearly delay + jitter.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256

from lab.links.axes import CLEAN, Impairment
from lab.links.emulator import Network
from lab.links.notation import Entry

IFB = "links-up"
UNLIMITED = 32_000_000_000  # bit/s: no limit, for disciplines that want a number
_PACKETS = 100_000  # netem's own queue: 20,000 packets/s for five seconds; its default of 1,000 drops at 2,500/s
_BURST = 2_000  # bytes that tbf lets go at once: one packet, more would be a jitter of its own
_PRIORITIES = 20  # of a generation of filters: of pairs and of sites, for either version of IP
# A class of each direction: HTB's for who, netem's for the delay, tbf's below it for the rate. Handles are 16 bit.
_NETEM, _SECOND, _TBF = 0x1000, 0x2000, 0x3000
_PAIRS = 0x800  # their first class: above those of all sites, also of such as come to have a link later


def setup(interface: str) -> str:
    """The trees without a leaf; `ip link add links-up type ifb` comes before."""
    return "".join(
        f"{line}\n"
        for line in (
            f"qdisc add dev {interface} root handle 1: htb",
            f"qdisc add dev {interface} handle ffff: ingress",
            f"qdisc add dev {IFB} root handle 1: htb",
        )
    )


def shaped(interface: str, entries: Iterable[Entry], seed: int) -> str:
    """Every link's figures. Each line replaces, so that what is under way stays where it is."""
    links = tuple(entries)
    lines: list[str] = []
    for number, entry in enumerate(links, 1):
        lines += _leaf(interface, number, (entry.link.down,), f"{seed} {entry.site} down")
        lines += _leaf(IFB, number, (entry.link.up,), f"{seed} {entry.site} up")
    for number, entry, other in _pairs(links):
        ways = (entry.link.up, entry.link.toward[other])
        lines += _leaf(IFB, number, ways, f"{seed} {entry.site} toward {other}")
    return "".join(f"{line}\n" for line in lines)


def sorted_by_address(
    interface: str, entries: Iterable[Entry], networks: Mapping[str, Iterable[Network]], generation: int = 0
) -> str:
    """Filters that tell the sites' packets apart. Those of one generation stand beside those of the next.

    So no packet is without a filter when they change: the new ones are laid, then the former ones go (`withdrawn`).
    """
    links = tuple(entries)
    first = 1 + _PRIORITIES * (generation % 2)
    second = first + 1
    lines = []
    for number, entry, other in _pairs(links):
        lines += [
            _filter(IFB, "1:", first, number, src=here, dst=there)
            for here in networks[entry.site]
            for there in networks[other]
            if here.version == there.version
        ]
    for number, entry in enumerate(links, 1):
        for network in networks[entry.site]:
            lines.append(_filter(interface, "1:", second, number, dst=network))
            lines.append(_filter(IFB, "1:", second, number, src=network))
            redirect = f"action mirred egress redirect dev {IFB}"
            lines.append(_filter(interface, "ffff:", second, 1, src=network) + f" {redirect}")
    return "".join(f"{line}\n" for line in lines)


def withdrawn(filters: str) -> str:
    """What takes away filters that were laid with this text: a priority of a tree goes as a whole."""
    places = dict.fromkeys(
        re.findall(r"^filter add (dev \S+ parent \S+ protocol \S+ prio \d+) ", filters, re.MULTILINE)
    )
    return "".join(f"filter del {place}\n" for place in places)


def _pairs(links: tuple[Entry, ...]) -> Iterator[tuple[int, Entry, str]]:
    """Classes behind those of the sites, for pairs that have a figure of their own."""
    pairs = [(entry, other) for entry in links for other in sorted(entry.link.toward)]
    for number, (entry, other) in enumerate(pairs, _PAIRS):
        yield number, entry, other


def _leaf(dev: str, number: int, ways: tuple[Impairment, ...], luck: str) -> Iterator[str]:
    yield f"class replace dev {dev} parent 1: classid 1:{number:x} htb rate {UNLIMITED}bit quantum 60000"
    parent = f"1:{number:x}"
    for index, (base, impairment) in enumerate(zip((_NETEM, _SECOND), ways, strict=False)):
        handle = f"{base + number:x}:"
        yield f"qdisc replace dev {dev} parent {parent} handle {handle} {_netem(impairment, f'{luck} {index}')}"
        parent = f"{handle}1"
    slowest = min(ways, key=lambda impairment: impairment.rate or UNLIMITED)
    yield f"qdisc replace dev {dev} parent {parent} handle {_TBF + number:x}: {_tbf(slowest)}"


def _netem(impairment: Impairment, luck: str) -> str:
    words = [f"netem limit {_PACKETS} delay {_us(impairment.delay)}"]
    if impairment.jitter:
        words.append(_us(impairment.jitter))
    if impairment.loss:
        words.append(f"loss random {impairment.loss * 100:.6f}%")
    if burst := impairment.burst:
        shares = (burst.p, burst.r, burst.loss_bad, burst.loss_good)
        words.append(f"loss gemodel {' '.join(f'{share * 100:.6f}%' for share in shares)}")
    words.append(f"seed {int.from_bytes(sha256(luck.encode()).digest()[:7])}")
    return " ".join(words)


def _tbf(impairment: Impairment) -> str:
    if impairment == CLEAN or impairment.rate is None:
        return f"tbf rate {UNLIMITED}bit burst {1 << 20} limit {1 << 28}"
    limit = max(round(impairment.queue_limit), _BURST) + _BURST
    return f"tbf rate {impairment.rate}bit burst {_BURST} limit {limit}"


def _us(seconds: float) -> str:
    return f"{round(seconds * 1e6)}us"


def _filter(dev: str, parent: str, priority: int, number: int, **ends: Network) -> str:
    """`ends`: src, dst, or both. A priority of tc belongs to one protocol, so IPv6 has those behind IPv4's."""
    (version,) = {network.version for network in ends.values()}
    protocol, word, behind = ("ip", "ip", 0) if version == 4 else ("ipv6", "ip6", 10)
    match = " ".join(f"match {word} {end} {network}" for end, network in ends.items())
    where = f"dev {dev} parent {parent} protocol {protocol} prio {priority + behind}"
    return f"filter add {where} u32 {match} flowid 1:{number:x}"
