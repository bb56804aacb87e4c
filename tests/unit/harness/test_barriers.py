"""What two networks put in the way of a path, said in words, from their routers' settings alone."""

from pathlib import Path

import pytest

from lab.harness.barriers import barriers, shut
from lab.topology import parse

ZOO = parse(Path(__file__).parents[3] / "compose" / "zoo.yml", {})


@pytest.mark.parametrize(
    ("caller", "callee", "transport", "words"),
    [
        ("linux-1-pc", "full-cone-1-pc", "udp", ()),
        ("linux-1-pc", "full-cone-1-pc", "tcp", ()),
        ("symmetric-1-pc", "linux-1-pc", "udp", ("symmetric-1 (symmetric) gives each peer another port",)),
        (
            "symmetric-1-pc",
            "symmetric-2-pc",
            "udp",
            ("symmetric-1 (symmetric) and symmetric-2 (symmetric) give each peer another port",),
        ),
        ("mobile-3-pc", "linux-1-pc", "udp", ("mobile-3 (symmetric) gives each peer another port",)),
        ("linux-1-pc", "udp-blocked-1-pc", "udp", ("udp-blocked-1 (linux, udp-blocked) lets no UDP out",)),
        ("linux-1-pc", "tcp-443-1-pc", "tcp", ("tcp-443-1 (symmetric, tcp-443) lets TCP out to port 443 alone",)),
        (
            "linux-1-pc",
            "web-only-1-pc",
            "tcp",
            ("web-only-1 (linux, web-only) lets TCP out to ports 443 and 80 alone",),
        ),
        (
            "linux-1-pc",
            "tls-only-1-pc",
            "tcp",
            ("tls-only-1 (linux, tls-only) lets TCP out to port 443 alone, and TLS alone",),
        ),
        (
            "linux-1-pc",
            "proxy-only-1-pc",
            "tcp",
            ("proxy-only-1 (linux, proxy-only) lets no TCP out but by its proxy",),
        ),
        (
            "linux-1-pc",
            "udp-throttled-1-pc",
            "udp",
            ("udp-throttled-1 (linux, udp-throttled) lets 16 kbit/s of UDP through, less than a voice",),
        ),
        ("ipv6-1-pc", "inbound-blocked-1-pc", "udp", ()),
    ],
)
def test_what_stands_between_two_networks(caller: str, callee: str, transport: str, words: tuple[str, ...]) -> None:
    assert barriers(ZOO, (caller, callee), transport) == words


def test_both_ends_are_named_where_both_are_shut() -> None:
    both = shut(ZOO, ("udp-blocked-1-pc", "tcp-443-1-pc"), "udp")
    assert [one.split(" ")[0] for one in both] == ["udp-blocked-1", "tcp-443-1"]


def test_one_site_is_named_once() -> None:
    inside = [node.name for node in ZOO.clients() if node.site == "address-dependent-1"]
    assert len(inside) == 2
    assert shut(ZOO, inside, "udp") == ()
