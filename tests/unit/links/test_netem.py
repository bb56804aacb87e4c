"""The links as text for tc: a class for each way of each site, and who goes where."""

import re
from ipaddress import ip_network

from lab.links import entries
from lab.links.netem import setup, shaped, sorted_by_address, withdrawn
from lab.links.queueing import swallowing

LINKS = entries(
    "home 203.0.113.32,2001:db8:0:1::32 delay=10ms up.jitter=2ms up.loss=5% toward.park.delay=30ms; "
    "park 203.0.113.31 down.rate=1mbit down.queue=200ms down.burst=1%,25% mtu=1492 blackhole=yes"
)
NETWORKS = {entry.site: [ip_network(address) for address in entry.addresses] for entry in LINKS}
WHOLE = "rate 32000000000bit"
FREE = f"tbf {WHOLE} burst 1048576 limit 268435456"


def lines(text: str) -> list[str]:
    return re.sub(r" seed \d+", "", text).splitlines()


def test_the_trees() -> None:
    assert setup("eth0").splitlines() == [
        "qdisc add dev eth0 root handle 1: htb",
        "qdisc add dev eth0 handle ffff: ingress",
        "qdisc add dev links-up root handle 1: htb",
    ]


def test_each_way_of_each_site_and_each_pair_has_its_class() -> None:
    htb = f"htb {WHOLE} quantum 60000"
    assert lines(shaped("eth0", LINKS, 1)) == [
        f"class replace dev eth0 parent 1: classid 1:1 {htb}",
        "qdisc replace dev eth0 parent 1:1 handle 1001: netem limit 100000 delay 10000us",
        f"qdisc replace dev eth0 parent 1001:1 handle 3001: {FREE}",
        f"class replace dev links-up parent 1: classid 1:1 {htb}",
        "qdisc replace dev links-up parent 1:1 handle 1001: netem limit 100000 delay 10000us 2000us "
        "loss random 5.000000%",
        f"qdisc replace dev links-up parent 1001:1 handle 3001: {FREE}",
        f"class replace dev eth0 parent 1: classid 1:2 {htb}",
        "qdisc replace dev eth0 parent 1:2 handle 1002: netem limit 100000 delay 0us "
        "loss gemodel 1.000000% 25.000000% 100.000000% 0.000000%",
        "qdisc replace dev eth0 parent 1002:1 handle 3002: tbf rate 1000000bit burst 2000 limit 27000",
        f"class replace dev links-up parent 1: classid 1:2 {htb}",
        "qdisc replace dev links-up parent 1:2 handle 1002: netem limit 100000 delay 0us",
        f"qdisc replace dev links-up parent 1002:1 handle 3002: {FREE}",
        f"class replace dev links-up parent 1: classid 1:800 {htb}",
        "qdisc replace dev links-up parent 1:800 handle 1800: netem limit 100000 delay 10000us 2000us "
        "loss random 5.000000%",
        "qdisc replace dev links-up parent 1800:1 handle 2800: netem limit 100000 delay 30000us",
        f"qdisc replace dev links-up parent 2800:1 handle 3800: {FREE}",
    ]


def test_packets_are_told_apart_by_address_and_pairs_come_first() -> None:
    up, down, redirect = "dev links-up parent 1:", "dev eth0 parent 1:", "action mirred egress redirect dev links-up"
    assert sorted_by_address("eth0", LINKS, NETWORKS).splitlines() == [
        f"filter add {up} protocol ip prio 1 u32 match ip src 203.0.113.32/32 match ip dst 203.0.113.31/32 "
        "flowid 1:800",
        f"filter add {down} protocol ip prio 2 u32 match ip dst 203.0.113.32/32 flowid 1:1",
        f"filter add {up} protocol ip prio 2 u32 match ip src 203.0.113.32/32 flowid 1:1",
        "filter add dev eth0 parent ffff: protocol ip prio 2 u32 match ip src 203.0.113.32/32 flowid 1:1 " + redirect,
        f"filter add {down} protocol ipv6 prio 12 u32 match ip6 dst 2001:db8:0:1::32/128 flowid 1:1",
        f"filter add {up} protocol ipv6 prio 12 u32 match ip6 src 2001:db8:0:1::32/128 flowid 1:1",
        "filter add dev eth0 parent ffff: protocol ipv6 prio 12 u32 match ip6 src 2001:db8:0:1::32/128 flowid 1:1 "
        + redirect,
        f"filter add {down} protocol ip prio 2 u32 match ip dst 203.0.113.31/32 flowid 1:2",
        f"filter add {up} protocol ip prio 2 u32 match ip src 203.0.113.31/32 flowid 1:2",
        "filter add dev eth0 parent ffff: protocol ip prio 2 u32 match ip src 203.0.113.31/32 flowid 1:1 " + redirect,
    ]


def test_jitter_is_not_kept_in_order_by_a_rate_which_would_push_the_median_to_the_slowest() -> None:
    jittery = [line for line in lines(shaped("eth0", LINKS, 1)) if "2000us" in line]
    assert len(jittery) == 2 and not any(" rate " in line for line in jittery)


def test_former_filters_go_after_the_new_ones_are_laid_beside_them() -> None:
    """Two generations share no priority of a tree, and one goes without the other."""
    laid = [sorted_by_address("eth0", LINKS, NETWORKS, generation) for generation in range(3)]
    assert laid[0] != laid[1] and laid[0] == laid[2]
    gone = [withdrawn(text).splitlines() for text in laid[:2]]
    assert gone[0] == [
        "filter del dev links-up parent 1: protocol ip prio 1",
        "filter del dev eth0 parent 1: protocol ip prio 2",
        "filter del dev links-up parent 1: protocol ip prio 2",
        "filter del dev eth0 parent ffff: protocol ip prio 2",
        "filter del dev eth0 parent 1: protocol ipv6 prio 12",
        "filter del dev links-up parent 1: protocol ipv6 prio 12",
        "filter del dev eth0 parent ffff: protocol ipv6 prio 12",
    ]
    assert not set(gone[0]) & set(gone[1])
    priorities = [{int(number) for number in re.findall(r"prio (\d+)", text)} for text in laid[:2]]
    assert not priorities[0] & priorities[1]
    assert withdrawn("") == ""


def test_every_line_has_a_luck_of_its_own_that_the_seed_decides() -> None:
    seeds = re.findall(r"seed (\d+)", shaped("eth0", LINKS, 1))
    assert len(seeds) == len(set(seeds)) == 6 and max(map(int, seeds)) < 2**64
    assert seeds == re.findall(r"seed (\d+)", shaped("eth0", LINKS, 1))
    assert not set(seeds) & set(re.findall(r"seed (\d+)", shaped("eth0", LINKS, 2)))


def test_a_change_of_figures_keeps_every_handle() -> None:
    """A replaced discipline keeps what waits in it, if its handle and kind stay."""
    slower = entries("home 203.0.113.32 delay=99ms rate=1mbit; park 203.0.113.31")
    faster = entries("home 203.0.113.32; park 203.0.113.31 rate=1mbit")
    handles = [re.findall(r"handle (\w+): (\w+)", shaped("eth0", links, 1)) for links in (slower, faster)]
    assert handles[0] == handles[1]


def test_a_black_hole_drops_by_length() -> None:
    text = swallowing(LINKS, NETWORKS)
    assert text[4].splitlines()[2:-1] == [
        "-A PREROUTING -s 203.0.113.31/32 -m length --length 1493:65535 -j DROP",
        "-A PREROUTING -d 203.0.113.31/32 -m length --length 1493:65535 -j DROP",
    ]
    assert "DROP" not in text[6]
