"""Another topology takes the place of the one that runs; here a LAN with two clients, whose calls no router sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typed import ROOT, cli

from lab.harness import Lab

KEPT = {"core", "authority", "supernode-1", "relay-1", "home-router", "bob"}


@pytest.fixture
def family(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """Bob and Bella at home, alone in the world; the reference lab is back afterwards."""
    world = yaml.safe_load((ROOT / "compose" / "reference.yml").read_text())
    world["services"] = {name: service for name, service in world["services"].items() if name in KEPT}
    world["networks"] = {name: network for name, network in world["networks"].items() if name in ("internet", "home")}
    world["services"]["core"]["environment"] = {}
    bob = world["services"]["bob"]
    bella = {"hostname": "bella", "labels": {**bob["labels"], "lab.node": "bella"}}
    world["services"]["bella"] = {**bob, **bella, "networks": {"home": {"ipv4_address": "192.168.32.11"}}}
    (tmp_path / "family.yml").write_text(yaml.safe_dump(world))
    for beside in ("base.yml", ".env"):
        (tmp_path / beside).write_text((ROOT / "compose" / beside).read_text())
    done = cli("up", str(tmp_path / "family.yml"), timeout=120)
    assert done.returncode == 0, done.stderr
    assert "taking down compose/reference.yml" in done.stderr
    yield lab
    lab.up()


def test_two_clients_on_one_lan_talk_without_their_router(family: Lab) -> None:
    assert {node.name for node in family.running_world().topology.nodes} == KEPT | {"bella"}
    report = family.call("bob", "bella")
    assert report.holds("direct/udp"), report
    folder = family.checkout.call_folder(report.call)
    assert {"bob.pcap", "bella.pcap"} <= {file.name for file in folder.iterdir()}
