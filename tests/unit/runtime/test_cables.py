"""Off one network and onto another: in which order, and what is put back."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any, cast

import pytest
from docker.errors import APIError

from lab.errors import RuntimeUnavailable
from lab.runtime import cables
from lab.runtime.world import Container
from lab.topology.model import Network


class Api:
    """The engine's part of it, noted in order; `refuse` is the address that it does not give."""

    def __init__(self, refuse: str | None = None) -> None:
        self.done: list[str] = []
        self._refuse = refuse

    def inspect_container(self, container: str) -> dict[str, Any]:
        held = {"NetworkID": "home", "IPAMConfig": {"IPv4Address": "192.168.32.20"}}
        return {"NetworkSettings": {"Networks": {"lab_home": held}}}

    def disconnect_container_from_network(self, container: str, network: str) -> None:
        self.done.append(f"off {network}")

    def connect_container_to_network(self, container: str, network: str, *, ipv4_address: str, **_: Any) -> None:
        self.done.append(f"on {network} as {ipv4_address}")
        if ipv4_address == self._refuse:
            raise APIError("it conflicts with existing route")


HOME = Network("home", "site", "home", IPv4Network("192.168.32.0/24"))
SIX = replace(HOME, name="six", subnet6=IPv6Network("2001:db8:6::/64"), ipv6_only=True)


def reattach(
    patch: pytest.MonkeyPatch, api: Api, source: Network | None, target: Network = HOME, state: str = "running"
) -> list[str]:
    patch.setattr(cables, "_network", lambda client, lab, name: name)
    patch.setattr(cables, "_cable", lambda client, container, *order: api.done.append(" ".join(order)))
    client = cast(Any, type("Client", (), {"api": api}))
    bob = Container("bob", "id", state)
    cables.reattach(client, bob, "lab", source, target, IPv4Address("192.168.32.10"), None)
    return api.done


def test_a_node_lets_go_of_what_would_outlive_its_interface_before_it_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reattach(monkeypatch, Api(), HOME) == ["detach", "off home", "on home as 192.168.32.10", "attach both"]


def test_a_node_that_comes_to_a_network_of_ipv6_alone_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reattach(monkeypatch, Api(), HOME, SIX)[-1] == "attach ipv6"


def test_a_node_that_hangs_on_nothing_is_put_on_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reattach(monkeypatch, Api(), None) == ["on home as 192.168.32.10", "attach both"]


def test_a_node_that_is_stopped_is_wired_when_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reattach(monkeypatch, Api(), HOME, state="exited") == ["off home", "on home as 192.168.32.10"]


def test_where_the_engine_refuses_the_node_is_put_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(refuse="192.168.32.10")
    with pytest.raises(RuntimeUnavailable, match="move bob to home"):
        reattach(monkeypatch, api, HOME)
    assert api.done[-2:] == ["on home as 192.168.32.20", "attach both"]
