"""A router that gives ports when asked: two networks that would need the relay talk without it, and only then."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from typed import ROOT

from lab.harness import Lab
from lab.harness.changing import SiteChange

KEPT = {"core", "authority", "supernode-1", "supernode-2", "relay-1", "home-router", "bob", "office-router", "carol"}
PATIENCE_S = 20.0

pytestmark = pytest.mark.timeout(400)  # a certification beside other work, and the reference lab again after the last


@pytest.fixture(scope="module")
def giving(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Bob behind a symmetric router with ports to give, carol behind one without; then the reference lab again."""
    folder = tmp_path_factory.mktemp("giving")
    world = yaml.safe_load((ROOT / "compose" / "reference.yml").read_text())
    services = {name: service for name, service in world["services"].items() if name in KEPT}
    home = {"lab.site": "home", "lab.profile": "symmetric", "lab.firewall": "none", "lab.portmap": "on"}
    services["home-router"]["labels"] |= home
    services["home-router"]["environment"] = home
    services["bob"]["labels"] |= home
    services["core"]["environment"] = {}
    networks = {name: world["networks"][name] for name in ("internet", "home", "office")}
    (folder / "giving.yml").write_text(
        yaml.safe_dump({"services": services, "networks": networks, "volumes": {"trust": {}}})
    )
    for beside in ("base.yml", ".env"):
        (folder / beside).write_text((ROOT / "compose" / beside).read_text())
    lab.up(folder / "giving.yml")
    yield lab
    lab.up(ROOT / "compose" / "reference.yml")


def mapped(lab: Lab) -> str | None:
    (bob,) = (node for node in lab.status().nodes if node.name == "bob")
    return bob.port_mapped


def wait_for(what: Callable[[], bool]) -> None:
    """The client asks in the background: its status says when it has been answered."""
    until = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until, "nothing was mapped in time"


@pytest.mark.parametrize(("caller", "callee"), [("bob", "carol"), ("carol", "bob")])
def test_a_given_port_takes_the_place_of_the_relay(giving: Lab, caller: str, callee: str) -> None:
    wait_for(lambda: mapped(giving) is not None)
    report = giving.call(caller, callee, seconds=2)
    assert report.holds("punched/udp"), report
    log = (giving.checkout.call_folder(report.call) / "bob.log").read_text()
    assert '"port-mapped", "udp", "203.0.113.32:' in log


def test_rules_that_change_leave_what_was_given(giving: Lab) -> None:
    wait_for(lambda: mapped(giving) is not None)
    giving.set("home", SiteChange(firewall="inbound-blocked"))
    giving.settle()
    report = giving.call("carol", "bob", seconds=2)
    assert report.holds("punched/udp"), report


@pytest.mark.parametrize("event", ["forget", "renew", "restart"])
def test_what_a_router_loses_is_asked_for_again(giving: Lab, event: str) -> None:
    """A router that has lost its mappings has lost these as well: without asking again, the relay would be needed."""
    begun = time.time()
    {
        "forget": lambda: giving.forget("home"),
        "renew": lambda: giving.renew("home"),
        "restart": lambda: giving.restart("home-router"),
    }[event]()
    signed_in_after(giving, "bob", begun)
    wait_for(lambda: mapped(giving) is not None)
    report = giving.call("carol", "bob", seconds=2)
    assert report.holds("punched/udp"), report


def signed_in_after(lab: Lab, node: str, order: float) -> None:
    """Return when the node, which has lost its supernode by what was done at `order` (epoch s), sits at one again."""
    for text in lab.logs(node, follow=True, since=order):
        if not text.startswith("{"):  # a library's own words: miniupnpc says "connect: Connection refused"
            continue
        line = json.loads(text)
        if line["event"] == "signed-in" and line["at"] >= order:
            return
    raise AssertionError(f"{node} stopped before it signed in")


@pytest.mark.parametrize("protocol", ["upnp", "natpmp"])
def test_a_router_that_gives_ports_in_one_way_alone_is_asked_in_it(giving: Lab, protocol: str) -> None:
    switch(giving, "off")
    wait_for(lambda: mapped(giving) is None)
    switch(giving, protocol)
    wait_for(lambda: mapped(giving) is not None)
    report = giving.call("carol", "bob", seconds=2)
    assert report.holds("punched/udp"), report


def switch(lab: Lab, portmap: str) -> None:
    """Change what bob's router offers, and return when he has signed in again and so asks it."""
    begun = time.time()
    lab.set("home", SiteChange(portmap=portmap))
    signed_in_after(lab, "bob", begun)


def test_the_router_is_what_it_claims(giving: Lab) -> None:
    assert giving.certify(["home"]).agrees


def test_without_the_switch_the_same_two_need_the_relay(giving: Lab) -> None:
    giving.set("home", SiteChange(portmap="off"))
    giving.settle()
    wait_for(lambda: mapped(giving) is None)
    report = giving.call("bob", "carol", seconds=2)
    assert report.holds("relayed/udp"), report
