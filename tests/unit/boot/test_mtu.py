"""The MTU of a line on the routes of a hop; the kernel is a list of routes."""

from ipaddress import ip_network
from typing import Any

import pytest

from lab.boot import mtu

HERE = 3
SITE = "100.64.63.11/32"


class Kernel:
    """What IPRoute gives of one interface. A neighbour has no route of its own but the one that is made for it."""

    def __init__(self, up: bool) -> None:
        self.up = up
        self.routes: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *words: object) -> None: ...

    def get_routes(self, *, family: int, table: int) -> list[dict[str, Any]]:
        return [one for one in self.routes.values() if one["family"] == family]

    def get_links(self, index: int) -> list[dict[str, int]]:
        return [{"flags": 1 if self.up and index == HERE else 0}]

    def route(self, order: str, *, dst: str, **words: Any) -> None:
        assert self.up, "the network is down"
        address, _, length = dst.partition("/")
        if order == "del":
            del self.routes[dst]
        else:
            fixed = {"type": 1, "proto": 4, "dst": address, "dst_len": int(length)}
            self.routes[dst] = {**fixed, **words}


def limited(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, *sizes: int) -> dict[str, int]:
    """The MTU of each route, after the site's was set to these, one after the other."""
    monkeypatch.setattr(mtu, "IPRoute", lambda: kernel)
    for size in sizes:
        mtu.set_down(HERE, [ip_network(SITE)], size)
    return {dst: route["metrics"]["mtu"] for dst, route in kernel.routes.items()}


def test_a_neighbour_has_a_route_of_its_own_while_its_line_takes_less(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limited(monkeypatch, Kernel(up=True), 1492) == {SITE: 1492}
    assert limited(monkeypatch, Kernel(up=True), 1492, 1400) == {SITE: 1400}
    assert limited(monkeypatch, Kernel(up=True), 1492, 1500) == {}


def test_while_the_cable_is_out_there_is_no_route_to_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limited(monkeypatch, Kernel(up=False), 1492, 1500) == {}
