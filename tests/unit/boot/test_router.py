"""What a router has been told and what it says of that; the kernel is a list of what it was asked for."""

from ipaddress import IPv4Interface
from typing import Any

import pytest

from lab.boot import attach, cable, router
from lab.boot.router import Router
from lab.boot.wiring import Interface, Wiring
from lab.errors import ConfigError, RuntimeUnavailable

ENVIRON = {"lab.site": "home", "lab.profile": "linux", "lab.firewall": "none"}
WAN = Interface(2, "wan0", IPv4Interface("203.0.113.32/24"))
WIRING = Wiring(WAN, Interface(3, "lan0", IPv4Interface("192.168.32.1/24")), (), ())


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []
    monkeypatch.setattr(attach, "hold", lambda plan: asked.append("hold"))
    monkeypatch.setattr(attach, "forward", lambda plan: asked.append("forward"))
    monkeypatch.setattr(attach, "attach", lambda role, environ: asked.append("routes") or WIRING)
    monkeypatch.setattr(router.rules, "load", lambda rules: asked.append("rules"))
    monkeypatch.setattr(router.rules, "forget", lambda: asked.append("forget"))
    monkeypatch.setattr(router.mtu, "set_up", lambda interface, size: asked.append((interface, size)))
    return asked


def begun(**environ: str) -> Router:
    return Router.begin(WIRING, {**ENVIRON, **environ})


def test_the_mtu_of_its_line_is_no_change_of_its_own_and_costs_no_mapping(kernel: list[Any]) -> None:
    here = begun()
    kernel.clear()
    here.orders["mtu"]({"mtu": 1492})
    assert (here.status()["mtu"], here.status()["changed"], kernel) == (1492, False, [(2, 1492)])
    here.orders["restore"]({})
    assert (here.status()["mtu"], kernel) == (1492, [(2, 1492)]), "nothing is loaded anew and nothing forgotten"


def test_the_file_s_profile_comes_back_and_the_mtu_of_the_line_stays(kernel: list[Any]) -> None:
    here = begun()
    here.orders["mtu"]({"mtu": 1492})
    here.orders["set"]({"profile": "symmetric"})
    assert here.status()["changed"]
    said = here.orders["restore"]({})
    assert (said["profile"], said["mtu"], said["changed"]) == ("linux", 1492, False)
    assert begun().status()["mtu"] == 1492, "over a restart as well"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"profile": "open"}, "192.168.32.0/24 is private"),
        ({"firewall": "proxy-only"}, "there is no node of role proxy"),
        ({"profile6": "nptv6"}, "there is no IPv6 inside"),
    ],
)
def test_what_its_site_does_not_allow_changes_nothing(kernel: list[Any], changes: dict[str, str], reason: str) -> None:
    here = begun()
    kernel.clear()
    with pytest.raises(ConfigError, match=reason):
        here.orders["set"](changes)
    assert (kernel, here.status()["changed"]) == ([], False)


@pytest.mark.parametrize(
    ("then", "profile"),
    [({"order": "set", "profile": "symmetric"}, "symmetric"), ({"order": "set", "profile": "linux"}, "linux"),
     ({"order": "restore"}, "linux")],
)  # fmt: skip
def test_after_rules_that_the_kernel_did_not_take_the_next_ones_are_loaded_whichever_they_are(
    kernel: list[Any], monkeypatch: pytest.MonkeyPatch, then: dict[str, str], profile: str
) -> None:
    here, load = begun(), router.rules.load

    def refuse(rules: object) -> None:
        raise RuntimeUnavailable("nft refuses the rules")

    monkeypatch.setattr(router.rules, "load", refuse)
    with pytest.raises(RuntimeUnavailable):
        here.orders["set"]({"profile": "symmetric"})
    assert (here.status()["profile"], here.status()["changed"]) == ("linux", True)
    monkeypatch.setattr(router.rules, "load", load)
    kernel.clear()
    assert here.orders[then["order"]](then)["profile"] == profile
    assert kernel == ["hold", "rules", "forget", (2, 1500), "forward"]
    assert here.status()["changed"] == (profile != "linux")


def test_a_router_that_is_plugged_in_again_has_the_mtu_of_its_line_on_its_new_routes(
    kernel: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun().orders["mtu"]({"mtu": 1492})
    kernel.clear()
    monkeypatch.setattr(cable, "_role", lambda: "router")
    assert cable._attach()
    assert kernel == ["routes", (2, 1492), "forward"]


def test_a_router_that_was_told_nothing_has_the_full_mtu_there(
    kernel: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cable, "_role", lambda: "router")
    assert cable._attach()
    assert kernel == ["routes", (2, 1500), "forward"]
