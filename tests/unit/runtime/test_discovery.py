"""The running lab as the engine lists it, and what else uses subnets."""

from ipaddress import IPv4Network, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ConfigError, RuntimeUnavailable
from lab.runtime import subnets
from lab.runtime.subnets import parse_routes, subnets_in_use
from lab.runtime.world import discover
from lab.topology.model import Role

LABELS = {
    "com.docker.compose.project": "lab",
    "com.docker.compose.project.config_files": "reference.yml",
    "com.docker.compose.project.working_dir": "/checkout/compose",
}


def network(name: str, subnet: str, **labels: str) -> dict[str, Any]:
    owned = {"com.docker.compose.project": "lab", "com.docker.compose.network": name}
    named = {f"lab.{key}": value for key, value in labels.items()}
    return {"Name": f"lab_{name}", "Labels": {**owned, **named}, "IPAM": {"Config": [{"Subnet": subnet}]}}


def container(name: str, role: str, state: str, addresses: dict[str, str], **labels: str) -> dict[str, Any]:
    endpoints = {
        f"lab_{net}": {"IPAddress": address if state == "running" else "", "IPAMConfig": {"IPv4Address": address}}
        for net, address in addresses.items()
    }
    named = {f"lab.{key}": value for key, value in {"node": name, "role": role, **labels}.items()}
    return {
        "Id": f"id-{name}", "State": state, "Labels": {**LABELS, **named}, "NetworkSettings": {"Networks": endpoints}
    }  # fmt: skip


class Api:
    def __init__(self, containers: list[dict[str, Any]], networks: list[dict[str, Any]]) -> None:
        self._containers, self._networks = containers, networks

    @property
    def api(self) -> "Api":
        return self

    def containers(self, all: bool, filters: dict[str, object]) -> list[dict[str, Any]]:
        assert all and filters == {"label": ["com.docker.compose.project=lab", "lab.node"]}
        return self._containers

    def networks(self, filters: dict[str, object] | None = None) -> list[dict[str, Any]]:
        return self._networks


def lab() -> Api:
    home = {"site": "home", "profile": "linux", "firewall": "none"}
    return Api(
        [
            container("bob", "client", "exited", {"home": "192.168.32.10"}, **home),
            container("home-router", "router", "running", {"home": "192.168.32.1", "internet": "203.0.113.32"}, **home),
            container("core", "core", "running", {"internet": "203.0.113.1"}),
        ],
        [
            network("internet", "203.0.113.0/24", network="internet"),
            network("home", "192.168.32.0/24", network="site", site="home"),
        ],
    )


def test_nodes_are_found_by_label_and_keep_their_addresses_when_stopped() -> None:
    world = discover(lab(), "lab")  # type: ignore[arg-type]
    assert world is not None
    assert [node.name for node in world.topology.nodes] == ["core", "home-router", "bob"]
    assert str(world.topology.node("bob").attachments[0].address) == "192.168.32.10/24"
    assert world.topology.router_of("home").role is Role.ROUTER
    assert world.file == Path("/checkout/compose/reference.yml")


def test_addresses_of_both_families_are_found() -> None:
    both = lab()
    for net, subnet in zip(both.networks(), ("2001:db8:0:1::/64", "2001:db8:32::/64"), strict=True):
        net["IPAM"]["Config"].insert(0, {"Subnet": subnet})
    bob, router, _ = both._containers
    bob["NetworkSettings"]["Networks"]["lab_home"]["IPAMConfig"]["IPv6Address"] = "2001:db8:32::10"
    router["NetworkSettings"]["Networks"]["lab_home"]["GlobalIPv6Address"] = "2001:db8:32::1"
    world = discover(both, "lab")  # type: ignore[arg-type]
    assert world is not None
    assert str(world.topology.lan_of("home").subnet6) == "2001:db8:32::/64"
    assert not world.topology.lan_of("home").ipv6_only
    assert str(world.topology.node("bob").attachments[0].address6) == "2001:db8:32::10/64"
    assert IPv6Address("2001:db8:32::1") in world.topology.node("home-router").addresses


def test_a_network_without_ipv4_is_known_by_its_label() -> None:
    six = lab()
    six.networks()[1]["Labels"]["lab.family"] = "ipv6"
    world = discover(six, "lab")  # type: ignore[arg-type]
    assert world is not None
    assert world.topology.lan_of("home").ipv6_only


def test_a_stopped_node_is_told_from_an_unknown_one() -> None:
    world = discover(lab(), "lab")  # type: ignore[arg-type]
    assert world is not None
    assert world.running("core").id == "id-core"
    with pytest.raises(RuntimeUnavailable, match="lab start bob"):
        world.running("bob")
    with pytest.raises(ConfigError, match="nobody"):
        world.running("nobody")


def test_no_container_is_no_world() -> None:
    assert discover(Api([], []), "lab") is None  # type: ignore[arg-type]


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0020A8C0\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0
br-1\t007100CB\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_routes_are_read_but_for_the_default() -> None:
    found = [("eth0", IPv4Network("192.168.32.0/20")), ("br-1", IPv4Network("203.0.113.0/24"))]
    assert parse_routes(ROUTES) == found


def test_the_labs_own_bridges_are_not_in_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "route").write_text(ROUTES)
    monkeypatch.setattr(subnets, "ROUTES", tmp_path / "route")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    other = {"Name": "other", "Labels": None, "IPAM": {"Config": [{"Subnet": "10.9.0.0/16"}, {"Subnet": "fd00::/64"}]}}
    ours = network("internet", "203.0.113.0/24", network="internet")
    used = subnets_in_use(Api([], [ours, other, {"Name": "host", "IPAM": {"Config": None}}]), "lab")  # type: ignore[arg-type]
    assert used == {
        IPv4Network("10.9.0.0/16"): "the Docker network other",
        IPv4Network("192.168.32.0/20"): "the host's interface eth0",
    }
