"""A router's filters as text for iptables-restore and ip6tables-restore: what may pass, and silence for the rest.

Pure. Belongs here: the raw and filter tables, and the classic translations that iptables has a target for.
"""

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from lab.nat.axes import FirewallPolicy, NatProfile, Permit
from lab.nat.portmap import SSDP
from lab.nat.wiring import Wiring

Family = Literal[4, 6]

# Where a TCP segment's payload begins, for the u32 match: IPv4's header has a length of its own, IPv6's has not (the
# lab sends no extension headers before TCP). Then 2 bytes: TLS handshake record, version 3.x (RFC 8446, 5.1).
_PAYLOAD = {4: "0>>22&0x3C@12>>26&0x3C@{at}", 6: "52>>26&0x3C@{at}"}
_AT = {4: 0, 6: 40}
# A payload of one to three bytes cannot be read by u32, which takes four: its packet's length tells it, for each length
# of TCP's header in words (RFC 9293, 3.1), behind an IP header without options.
_TCP_WORDS = {4: "0>>22&0x3C@12>>28", 6: "52>>28"}
_IP_HEADER = {4: 20, 6: 40}
_TLS_MARK = "0x10000/0x10000"
# ICMPv6 that a router answers or a host needs (RFC 4890, 4.4): neighbour discovery and errors about its own packets.
_NEIGHBOURS = ("133", "134", "135", "136", "137")


@dataclass(frozen=True)
class Side:
    """One family's view of a router: its two interfaces and its LAN address."""

    family: Family
    wan: str
    lan: str
    lan_address: IPv4Interface | IPv6Interface

    @property
    def inside(self) -> str:
        return str(self.lan_address.network)


def table(name: str, policies: list[str], rules: list[str]) -> str:
    """One table of a restore file."""
    lines = [f"*{name}", *(f":{policy} [0:0]" for policy in policies), *(f"-A {rule}" for rule in rules), "COMMIT"]
    return "\n".join(lines) + "\n"


def raw(profile: NatProfile, wiring: Wiring) -> list[str]:
    """A neighbour on the WAN may route packets at inner addresses; translated sites know no such address outside."""
    if profile.translation is None or wiring.inside is None:
        return []
    return [f"PREROUTING -i {wiring.wan} -d {wiring.inside} -j DROP"]


def filters(profile: NatProfile, firewall: FirewallPolicy, wiring: Wiring, side: Side) -> str:
    """The filter table of one family."""
    rules = [*_input(profile, side), *_forward(profile, firewall, wiring, side)]
    return table("filter", ["INPUT DROP", "FORWARD DROP", "OUTPUT ACCEPT"], rules)


def closed() -> str:
    """The filter table of a family that the router does not speak."""
    return table("filter", ["INPUT DROP", "FORWARD DROP", "OUTPUT ACCEPT"], ["INPUT -i lo -j ACCEPT"])


def _input(profile: NatProfile, side: Side) -> list[str]:
    """Silence to the WAN: an answer, or an accepted packet's entry, would move a client's mapping to another port."""
    group, port = SSDP
    looked_for = "upnp" in profile.port_mapping and side.family == 4
    neighbours = [f"INPUT -p icmpv6 --icmpv6-type {kind} -j ACCEPT" for kind in _NEIGHBOURS if side.family == 6]
    return [
        "INPUT -i lo -j ACCEPT",
        *neighbours,
        "INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        f"INPUT -i {side.lan} -d {side.lan_address.ip} -m conntrack --ctstate NEW -j ACCEPT",
        *([f"INPUT -i {side.lan} -s {side.inside} -d {group} -p udp --dport {port} -j ACCEPT"] if looked_for else []),
    ]


def _forward(profile: NatProfile, firewall: FirewallPolicy, wiring: Wiring, side: Side) -> list[str]:
    """Invalid packets go first: connection tracking would pass them on untranslated."""
    return [
        "FORWARD -m conntrack --ctstate INVALID -j DROP",
        *_throttle(firewall, side),
        *_cut(firewall, side),
        "FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        *(
            f"FORWARD -i {side.lan} -o {side.wan} -s {source}{_match(permit)} -j ACCEPT"
            for permit in firewall.outbound
            if (source := _source(permit, wiring, side)) is not None
        ),
        *_inbound(profile, firewall, side),
    ]


def _source(permit: Permit, wiring: Wiring, side: Side) -> str | None:
    if permit.source == "site":
        return side.inside
    return str(wiring.proxy) if side.family == 4 and wiring.proxy else None


def _match(permit: Permit) -> str:
    protocol = f" -p {permit.protocol}" if permit.protocol else ""
    port = f" --dport {permit.port}" if permit.port else ""
    return protocol + port


def _inbound(profile: NatProfile, firewall: FirewallPolicy, side: Side) -> list[str]:
    """What others may open: everything to addresses of one's own, and what a mapping lets in to translated ones.

    A port that a host has asked for is open whatever the firewall says: that is what it was asked for.
    """
    translation = profile.translation if side.family == 4 else None
    rules = []
    if firewall.inbound and translation is None:
        rules.append(f"FORWARD -i {side.wan} -o {side.lan} -d {side.inside} -j ACCEPT")
    if (firewall.inbound or profile.port_mapping) and translation is not None:
        rules.append(f"FORWARD -i {side.wan} -o {side.lan} -m conntrack --ctstate DNAT -j ACCEPT")
    if translation is not None and translation.hairpinning:
        both = translation.udp.hairpinning and translation.tcp.hairpinning
        alone = "" if both else f" -p {'udp' if translation.udp.hairpinning else 'tcp'}"
        rules.append(f"FORWARD -i {side.lan} -o {side.lan}{alone} -m conntrack --ctstate DNAT -j ACCEPT")
    return rules


def _throttle(firewall: FirewallPolicy, side: Side) -> list[str]:
    """One bucket a direction, of a second's worth: what finds it empty is dropped.

    Without a burst of its own: in bytes, hashlimit takes one for further buckets (seen: 16 packets at once, not 8).
    """
    if firewall.udp_rate is None:
        return []
    rate = firewall.udp_rate // 8
    return [
        f"FORWARD -i {one} -o {other} -p udp -m hashlimit --hashlimit-name lab-{name}-{side.family} "
        f"--hashlimit-above {rate}b/s -j DROP"
        for name, one, other in (("up", side.lan, side.wan), ("down", side.wan, side.lan))
    ]


def _cut(firewall: FirewallPolicy, side: Side) -> list[str]:
    """Connections to a port for TLS alone: the first payload decides, and nothing may come before it."""
    rules = []
    at = _AT[side.family]
    begins = _PAYLOAD[side.family].format(at=f"{at}>>16") + "=0x1603"
    carries = _PAYLOAD[side.family].format(at=at) + "=0x0:0xFFFFFFFF"
    few = []
    for words in range(5, 16):
        size = _IP_HEADER[side.family] + 4 * words
        few.append(f'-m length --length {size + 1}:{size + 3} -m u32 --u32 "{_TCP_WORDS[side.family]}={words}"')
    for port in (permit.port for permit in firewall.outbound if permit.tls):
        out = f"FORWARD -i {side.lan} -o {side.wan} -p tcp --dport {port}"
        back = f"FORWARD -i {side.wan} -o {side.lan} -p tcp --sport {port}"
        unknown = f"-m connmark ! --mark {_TLS_MARK}"
        rules += [
            f'{out} {unknown} -m u32 --u32 "{begins}" -j CONNMARK --set-xmark {_TLS_MARK}',
            f'{out} {unknown} -m u32 --u32 "{carries}" -j REJECT --reject-with tcp-reset',
            f'{back} {unknown} -m u32 --u32 "{carries}" -j DROP',
            *(f"{out} {unknown} {one} -j REJECT --reject-with tcp-reset" for one in few),
            *(f"{back} {unknown} {one} -j DROP" for one in few),
        ]
    return rules
