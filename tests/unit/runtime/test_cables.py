"""Off one network and onto another: in which order, and what is put back."""

from ipaddress import IPv4Address
from typing import Any, cast

import pytest
from docker.errors import APIError

from lab.errors import RuntimeUnavailable
from lab.runtime import cables
from lab.runtime.world import Container


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


def reattach(patch: pytest.MonkeyPatch, api: Api, source: str | None) -> list[str]:
    patch.setattr(cables, "_network", lambda client, lab, name: name)
    patch.setattr(cables, "_cable", lambda client, container, order: api.done.append(order))
    client = cast(Any, type("Client", (), {"api": api}))
    bob = Container("bob", "id", "running")
    cables.reattach(client, bob, "lab", source, "home", IPv4Address("192.168.32.10"), None)
    return api.done


def test_a_node_lets_go_of_what_would_outlive_its_interface_before_it_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reattach(monkeypatch, Api(), "home") == ["detach", "off home", "on home as 192.168.32.10", "attach"]


def test_a_node_that_hangs_on_nothing_is_put_on_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reattach(monkeypatch, Api(), None) == ["on home as 192.168.32.10", "attach"]


def test_where_the_engine_refuses_the_node_is_put_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(refuse="192.168.32.10")
    with pytest.raises(RuntimeUnavailable, match="move bob to home"):
        reattach(monkeypatch, api, "home")
    assert api.done[-2:] == ["on home as 192.168.32.20", "attach"]
