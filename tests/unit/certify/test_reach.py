"""What a firewall lets out, asked of a router in memory; a hole in one is found out."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from lab import nat
from lab.certify import claimed, deducing
from lab.certify.bench import Bench
from lab.certify.ends import End
from lab.certify.findings import Reach
from lab.certify.measuring.reach import PROXY_TRIES, proxied_elsewhere, reach

from .conftest import Router, bench_of

POLICIES = ("udp-blocked", "tcp-443", "web-only")
"""Firewalls that let no echo out: the router in memory knows none."""


@dataclass
class Firewall(Router):
    """A policy, and what gets out besides, if anything: a protocol and a remote port."""

    policy: nat.FirewallPolicy = field(default_factory=lambda: nat.firewall("none"))
    hole: tuple[str, int] | None = None

    def send(self, side: str, packet: dict[str, Any]) -> None:
        protocol, port = packet["proto"], packet.get("dport")
        permits = any(one.protocol in (None, protocol) and one.port in (None, port) for one in self.policy.outbound)
        if side == "outside" or permits or (protocol, port) == self.hole:
            super().send(side, packet)


def found(policy: str, hole: tuple[str, int] | None = None) -> dict[str, Any]:
    """What gets out that is not claimed to, or the other way round, by its name."""
    one = nat.firewall(policy)
    says = claimed.claimed([claimed.Router("r", nat.profile("linux"), one)], claimed.LinkClaim()).outbound
    does = deducing.outbound(reach(bench_of(Firewall(policy=one, hole=hole))))
    return dict(_differences(says.__dict__, does.__dict__))


def _differences(says: dict[str, Any], does: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    assert says.keys() == does.keys()
    found = []
    for key, value in says.items():
        if isinstance(value, dict):
            found += _differences(value, does[key], f"{above}{key} ")
        elif value != does[key]:
            found.append((f"{above}{key}", does[key]))
    return found


@pytest.mark.parametrize("policy", POLICIES)
def test_a_firewall_lets_out_what_it_claims(policy: str) -> None:
    assert found(policy) == {}


def test_a_firewall_that_lets_everything_out_lets_it_out_to_each_port() -> None:
    assert found("none") == {"icmp": False}, "the router in memory knows no echo"


@pytest.mark.parametrize(
    ("policy", "hole", "name"),
    [
        *(("udp-blocked", ("udp", port), f"udp_to {port}") for port in (53, 443, 50_000)),
        *(("web-only", ("tcp", port), f"tcp_to {port}") for port in (22, 50_000)),
        ("tcp-443", ("udp", 443), "udp_to 443"),
        ("tcp-443", ("tcp", 80), "tcp_80"),
    ],
)
def test_a_hole_in_a_firewall_is_found_out(policy: str, hole: tuple[str, int], name: str) -> None:
    assert found(policy, hole) == {name: True}


@pytest.mark.parametrize(
    ("said", "serves", "asked"),
    [
        (["HTTP/1.1 403 Access violation"], False, 1),
        (["HTTP/1.0 200 Connection established"], True, 1),
        (["HTTP/1.1 500 Unable to connect"], None, 1),
        (["", "HTTP/1.1 403 Access violation"], False, 2),
        ([""] * PROXY_TRIES, None, PROXY_TRIES),
    ],
    ids=["refuses", "serves", "tries in vain", "answers late", "never answers"],
)
def test_a_proxy_is_asked_for_another_port_than_the_one_that_it_is_for(
    said: list[str], serves: bool | None, asked: int
) -> None:
    orders: list[list[Any]] = []

    def order(order: str, arguments: list[Any]) -> dict[str, Any]:
        orders.append(arguments)
        return {"said": said[len(orders) - 1], "up_us": [], "down_us": []}

    bench = Bench(End(order), End(order), ("192.168.1.253",), ("203.0.113.253", "203.0.113.252"))
    assert proxied_elsewhere(bench, ("192.168.1.5", 3128), "203.0.113.251") is serves
    assert orders == [["192.168.1.5", 3128, "203.0.113.251", 22, 0]] * asked


def test_a_proxy_that_does_not_refuse_another_port_is_not_as_claimed() -> None:
    policy = nat.firewall("proxy-only")
    says = claimed.claimed([claimed.Router("r", nat.profile("linux"), policy)], claimed.LinkClaim(), proxy=True)
    for serves in (False, True, None):
        found = Reach(False, False, False, False, False, proxy=True, proxy_elsewhere=serves)
        assert (deducing.outbound(found).proxy_elsewhere == says.outbound.proxy_elsewhere) is (serves is False)
