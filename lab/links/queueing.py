"""Which packets a hop hands to the emulator, as text for iptables-restore --noflush and ip6tables-restore --noflush.

Pure. Belongs here: the rules of table raw. Never: what becomes of the packets (emulator.py).
"""

from collections.abc import Iterable, Mapping

from lab.links.emulator import Network
from lab.links.notation import Address, Entry

QUEUE = 1
"""The number of the netfilter queue; no node has another."""


def queueing(
    entries: Iterable[Entry],
    networks: Mapping[str, Iterable[Network]],
    own: Iterable[Address] = (),
    first: Iterable[str] = (),
) -> Mapping[int, str]:
    """Per version of IP (4, 6) the whole table raw: nothing is queued that no link touches, nor what is for `own`.

    `first`: the rules of IPv4 that stand before these, since a packet that was queued meets no other of its chain.

    No bypass: without a reader these packets are lost, and not let through as if the links were clean.
    """
    wanted: dict[int, list[str]] = {4: [*first], 6: []}
    wanted[6] += ["-d ff00::/8 -j ACCEPT", "-d fe80::/10 -j ACCEPT"]  # neighbours find each other, on no link of these
    for address in own:
        wanted[address.version].append(f"-d {address} -j ACCEPT")
    for entry in entries:
        link = entry.link
        for network in networks[entry.site]:
            rules = wanted[network.version]
            if not link.up.clean:
                rules.append(f"-s {network} {_TO_EMULATOR}")
            elif link.toward:
                others = [other for site in link.toward for other in networks.get(site, ())]
                rules += [f"-s {network} -d {o} {_TO_EMULATOR}" for o in others if o.version == network.version]
            if not link.down.clean:
                rules.append(f"-d {network} {_TO_EMULATOR}")
    return {version: _table(rules) for version, rules in wanted.items()}


def swallowing(entries: Iterable[Entry], networks: Mapping[str, Iterable[Network]]) -> Mapping[int, str]:
    """Per version of IP the whole table raw where the kernel's disciplines do the rest: black holes alone."""
    wanted: dict[int, list[str]] = {4: [], 6: []}
    for entry in entries:
        for end, way in (("-s", entry.link.up), ("-d", entry.link.down)):
            for network in networks[entry.site] if way.swallowed_above is not None else ():
                wanted[network.version].append(
                    f"{end} {network} -m length --length {(way.swallowed_above or 0) + 1}:65535 -j DROP"
                )
    return {version: _table(rules) for version, rules in wanted.items()}


_TO_EMULATOR = f"-j NFQUEUE --queue-num {QUEUE}"


def _table(rules: list[str]) -> str:
    # The chain stays: the kernel drops every packet that is queued anywhere when a chain leaves its hook.
    lines = ["*raw", "-F PREROUTING", *(f"-A PREROUTING {rule}" for rule in rules), "COMMIT"]
    return "\n".join(lines) + "\n"
