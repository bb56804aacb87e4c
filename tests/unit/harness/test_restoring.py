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
from lab.topology.model import Attachment, Network

FILE = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})


def restored(
    patch: pytest.MonkeyPatch, *hangs: Attachment, state: str = "running", before: bool = False
) -> tuple[list[Any], list[str]]:
    """What is asked of the engine, and what is said, where bob hangs so; `before` Compose is asked, or after."""
    nodes = tuple(replace(node, attachments=hangs) if node.name == "bob" else node for node in FILE.nodes)
    containers = {
        node.name: Container(node.name, node.name, state if node.name == "bob" else "running") for node in FILE.nodes
    }
    world = World("lab", replace(FILE, nodes=nodes), containers, None)
    asked: list[Any] = []

    def reattach(
        engine: object, container: Container, lab: str, source: Network | None, target: Network, *words: object
    ) -> None:
        asked.append((container.node, source.name if source else None, target.name, *words))

    patch.setattr(cables, "reattach", reattach)
    patch.setattr(restoring.roaming, "tell_proxy", lambda *words: None)
    patch.setattr(restoring.standing, "routers", lambda *words: {})
    patch.setattr(restoring.standing, "order", lambda *words: {})
    said: list[str] = []
    (restoring.bring_home if before else restoring.restore)(cast(Any, None), world, FILE, said.append)
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


@pytest.mark.parametrize(("state", "asked"), [("exited", 1), ("running", 0)])
def test_a_client_that_was_moved_and_stopped_is_home_before_compose_starts_it(
    monkeypatch: pytest.MonkeyPatch, state: str, asked: int
) -> None:
    """Compose adds the network that it lacks, and a client has one."""
    away = Attachment("flat", IPv4Interface("192.168.33.20/24"))
    done, said = restored(monkeypatch, away, state=state, before=True)
    assert [one[:3] for one in done] == asked * [("bob", "flat", "home")]
    assert said == asked * ["bob is back at home"]


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
