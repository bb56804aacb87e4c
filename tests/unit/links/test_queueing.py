"""The rules of core's table raw: what is queued, and what is never touched."""

from ipaddress import ip_address, ip_network

from lab.links import entries
from lab.links.queueing import queueing

CORE = [ip_address("203.0.113.1"), ip_address("2001:db8:0:1::1")]
HEAD = "*raw\n-F PREROUTING\n"
KEPT4 = "-A PREROUTING -d 203.0.113.1 -j ACCEPT\n"
KEPT6 = (
    "-A PREROUTING -d ff00::/8 -j ACCEPT\n-A PREROUTING -d fe80::/10 -j ACCEPT\n"
    "-A PREROUTING -d 2001:db8:0:1::1 -j ACCEPT\n"
)


def rules(text: str) -> tuple[str, str]:
    links = entries(text)
    networks = {entry.site: [ip_network(address) for address in entry.addresses] for entry in links}
    if "park" in networks:
        networks["park"].append(ip_network("198.51.100.16/28"))
    both = queueing(links, networks, CORE)
    return both[4].removeprefix(HEAD).removesuffix("COMMIT\n"), both[6].removeprefix(HEAD).removesuffix("COMMIT\n")


def test_a_clean_link_costs_nothing() -> None:
    assert rules("home 203.0.113.32,2001:db8:0:1::32") == (KEPT4, KEPT6)
    assert rules("home 203.0.113.32 mtu=1492") == (KEPT4, KEPT6), "the kernel's routes see to the MTU"


def test_each_direction_is_queued_by_itself_in_both_families_and_for_routed_prefixes() -> None:
    assert rules("park 203.0.113.31,2001:db8:0:1::31 up.delay=1ms") == (
        KEPT4
        + "-A PREROUTING -s 203.0.113.31/32 -j NFQUEUE --queue-num 1\n"
        + "-A PREROUTING -s 198.51.100.16/28 -j NFQUEUE --queue-num 1\n",
        KEPT6 + "-A PREROUTING -s 2001:db8:0:1::31/128 -j NFQUEUE --queue-num 1\n",
    )
    assert rules("home 203.0.113.32 down.loss=1%")[0] == KEPT4 + (
        "-A PREROUTING -d 203.0.113.32/32 -j NFQUEUE --queue-num 1\n"
    )


def test_toward_queues_one_pair_alone() -> None:
    assert rules("home 203.0.113.32 toward.flat.loss=1%; flat 203.0.113.33,2001:db8:0:1::33") == (
        KEPT4 + "-A PREROUTING -s 203.0.113.32/32 -d 203.0.113.33/32 -j NFQUEUE --queue-num 1\n",
        KEPT6,
    )


def test_a_black_hole_is_seen_to_by_the_emulator() -> None:
    assert rules("home 203.0.113.32 mtu=1492 blackhole=yes")[0].count("NFQUEUE") == 2
    assert rules("home 203.0.113.32 down.mtu=1492 down.blackhole=yes")[0].count("NFQUEUE") == 1


def test_the_chain_itself_is_never_replaced() -> None:
    """The kernel drops all queued packets with it."""
    assert ":PREROUTING" not in "".join(queueing((), {}, CORE).values())


def test_without_a_reader_nothing_passes() -> None:
    assert "bypass" not in "".join(rules("home 203.0.113.32 delay=1ms"))
