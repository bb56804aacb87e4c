"""Clients go back to the LAN and the address that the file gives them."""

from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any, cast

import pytest

from lab.harness import restoring
from lab.runtime import cables
from lab.runtime.world import Container, World
from lab.topology import parse
from lab.topology.model import Attachment

FILE = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})


def restored(patch: pytest.MonkeyPatch, *hangs: Attachment) -> tuple[list[Any], list[str]]:
    """What is asked of the engine, and what is said, where bob hangs so."""
    nodes = tuple(replace(node, attachments=hangs) if node.name == "bob" else node for node in FILE.nodes)
    containers = {node.name: Container(node.name, node.name, "running") for node in FILE.nodes}
    world = World("lab", replace(FILE, nodes=nodes), containers, None)
    asked: list[Any] = []
    patch.setattr(cables, "reattach", lambda engine, container, lab, *words: asked.append((container.node, *words)))
    patch.setattr(restoring.roaming, "tell_proxy", lambda *words: None)
    patch.setattr(restoring.standing, "routers", lambda *words: {})
    patch.setattr(restoring.standing, "order", lambda *words: {})
    said = restoring.restore(cast(Any, None), world, FILE, lambda text: None)
    return asked, said


def test_a_client_that_is_as_in_the_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert restored(monkeypatch, *FILE.node("bob").attachments) == ([], [])


@pytest.mark.parametrize(
    ("hangs", "network", "said"),
    [
        ((Attachment("home", IPv4Interface("192.168.32.20/24")),), "home", "bob is back at 192.168.32.10"),
        ((Attachment("flat", IPv4Interface("192.168.33.20/24")),), "flat", "bob is back at home"),
        ((), None, "bob is back at home"),
    ],
)
def test_a_client_with_another_address_or_lan_gets_the_file_s_back(
    monkeypatch: pytest.MonkeyPatch, hangs: tuple[Attachment, ...], network: str | None, said: str
) -> None:
    home = FILE.node("bob").attachments[0]
    assert restored(monkeypatch, *hangs) == ([("bob", network, "home", home.address.ip, None)], [said])


@pytest.mark.parametrize(
    ("link", "has", "told"),
    [
        ({"up": "mtu=1492", "down": ""}, 1500, [("home-router", "mtu", {"mtu": 1492})]),
        ({"up": "mtu=1492", "down": ""}, 1492, []),
        ({"up": "mtu=1492 blackhole=yes", "down": ""}, 1492, [("home-router", "mtu", {"mtu": 1500})]),
        ({"up": "delay=10ms", "down": "mtu=1400"}, 1400, [("home-router", "mtu", {"mtu": 1500})]),
        (None, 1400, [("home-router", "mtu", {"mtu": 1500})]),
    ],
)
def test_a_router_gets_the_mtu_of_its_site_s_link_where_it_has_another(
    monkeypatch: pytest.MonkeyPatch, link: dict[str, Any] | None, has: int, told: list[Any]
) -> None:
    """None: the file gives the site no link, and what it was given at run time is gone."""
    given: list[Any] = []
    links = {"home": link} if link else {}
    monkeypatch.setattr(restoring.standing, "core", lambda *words: {"shaping": {"links": links}})
    monkeypatch.setattr(restoring.standing, "routers", lambda *words: {"home": {"mtu": has}, "flat": {"mtu": 1500}})
    monkeypatch.setattr(
        restoring.standing, "order", lambda engine, world, node, order, **fields: given.append((node, order, fields))
    )
    restoring.mtus(cast(Any, None), World("lab", FILE, {}, None))
    assert given == told
