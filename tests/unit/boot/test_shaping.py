"""Which links core has, at the start and after orders; the kernel is a list of what it was asked for."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Interface
from typing import Any

import pytest

from lab.boot import attach, mtu, rules, shaping
from lab.boot.core import Core
from lab.boot.shaping import Shaping
from lab.boot.wiring import Interface, Wiring
from lab.errors import ConfigError, RuntimeUnavailable
from lab.links import Entry, write
from lab.links.emulator import Network

LINKS = "home 203.0.113.32,2001:db8:0:1::32 delay=10ms; park 203.0.113.31 delay=10ms up.rate=1mbit"
ROUTES = "198.51.100.16/28 via 203.0.113.31, 2001:db8:0:37::/64 via 2001:db8:0:1::32"
ENVIRON = {"LAB_LINKS": LINKS, "LAB_SEED": "7", "LAB_ROUTES": ROUTES}


class Kernel:
    """Stands for the reader and the rules."""

    by = "nfqueue"

    def __init__(self) -> None:
        self.links = ""
        self.networks: dict[str, list[str]] = {}
        self.mtus: list[tuple[list[str], int]] = []
        self.broken = False

    def apply(
        self, entries: tuple[Entry, ...], networks: Mapping[str, tuple[Network, ...]], *, anew: bool = False
    ) -> None:
        if self.broken:
            raise RuntimeUnavailable("the reader of core's links has ended")
        self.links = write(entries)
        self.networks = {site: list(map(str, owned)) for site, owned in networks.items()}

    def status(self) -> dict[str, Any]:
        return {"priority": "realtime"}

    def set_down(self, interface: int, networks: Iterable[Network], size: int) -> None:
        self.mtus.append((list(map(str, networks)), size))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(shaping, "_means", lambda seed, interface: kernel)
    monkeypatch.setattr(mtu, "set_down", kernel.set_down)
    return kernel


@pytest.fixture
def links(kernel: Kernel) -> Shaping:
    links = Shaping.of_core(ENVIRON, interface=2)
    links.start()
    return links


def test_the_start_is_what_the_file_says(links: Shaping, kernel: Kernel) -> None:
    assert kernel.links == (
        "home 203.0.113.32,2001:db8:0:1::32 up.delay=10ms down.delay=10ms; "
        "park 203.0.113.31 up.delay=10ms up.rate=1mbit down.delay=10ms"
    )
    assert kernel.networks == {
        "home": ["203.0.113.32/32", "2001:db8:0:1::32/128", "2001:db8:0:37::/64"],
        "park": ["203.0.113.31/32", "198.51.100.16/28"],
    }
    assert kernel.mtus == []
    assert links.status() == {
        "by": "nfqueue",
        "seed": 7,
        "priority": "realtime",
        "links": {
            "home": {"up": "delay=10ms", "down": "delay=10ms", "toward": {}},
            "park": {"up": "delay=10ms rate=1mbit", "down": "delay=10ms", "toward": {}},
        },
    }


def _seed(environ: dict[str, str]) -> int:
    links = Shaping.of_core(environ, 2)
    links.start()
    return int(links.status()["seed"])


def test_without_a_seed_one_is_drawn_and_told(kernel: Kernel) -> None:
    seeds = {_seed({"LAB_LINKS": LINKS}) for _ in range(3)}
    assert len(seeds) > 1
    with pytest.raises(ConfigError, match="whole number in LAB_SEED, got 'luck'"):
        Shaping.of_core({"LAB_SEED": "luck"}, 2)


def test_a_change_is_handed_on_and_restored(links: Shaping, kernel: Kernel) -> None:
    before = kernel.links
    links.set_link("home", "up", {"delay": "50ms", "loss": "5%"})
    links.set_link("home", "toward", {"loss": "100%"}, "park")
    assert kernel.links.startswith(
        "home 203.0.113.32,2001:db8:0:1::32 up.delay=50ms up.loss=5% down.delay=10ms toward.park.loss=100%; "
    )
    assert links.changed
    links.restore()
    assert (kernel.links, links.changed) == (before, False)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (("moon", "up", {"delay": "1ms"}), "'moon' has no link in LAB_LINKS of this environment; .*: home, park"),
        (("home", "left", {"delay": "1ms"}), "unknown direction 'left'"),
        (("home", "both", {"loss": "120%"}), "loss of 120%"),
        (("home", "both", {"rate": "0"}), "rate of 0bit"),
        (("home", "both", {"mtu": "1000"}), "allowed: 1280 to 1500 where a site has IPv6"),
        (("home", "toward", {"loss": "1%"}, "moon"), "unknown site 'moon' to impair home toward; allowed: park"),
        (("home", "toward", {"loss": "1%"}, "home"), "unknown site 'home' to impair home toward; allowed: park"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    links: Shaping, kernel: Kernel, order: tuple[Any, ...], told: str
) -> None:
    before = kernel.links
    with pytest.raises(ConfigError, match=told):
        links.set_link(*order)
    assert kernel.links == before and not links.changed


def test_a_change_that_the_kernel_refuses_is_not_told_as_true(links: Shaping, kernel: Kernel) -> None:
    kernel.broken = True
    with pytest.raises(RuntimeUnavailable):
        links.set_link("home", "up", {"delay": "50ms"})
    assert links.link("home")["up"] == "delay=10ms"


def test_an_mtu_is_a_matter_of_routes_and_a_black_hole_is_not(links: Shaping, kernel: Kernel) -> None:
    links.set_link("park", "both", {"mtu": "1492"})
    links.set_link("park", "both", {"delay": "20ms"})
    links.set_link("park", "both", {"blackhole": "yes"})
    both = ["203.0.113.31/32", "198.51.100.16/28"]
    assert kernel.mtus == [(both, 1492), (both, 1500)]
    links.set_link("park", "both", {"blackhole": "no", "mtu": "1500"})
    links.set_link("park", "up", {"mtu": "1400"})
    assert kernel.mtus[2:] == [], "what leaves a site meets its own router's routes, not core's"
    links.set_link("park", "down", {"mtu": "1400"})
    assert kernel.mtus[2:] == [(both, 1400)]


def test_a_renewed_address_keeps_its_link_its_prefixes_and_its_mtu(links: Shaping, kernel: Kernel) -> None:
    links.set_link("park", "both", {"mtu": "1492"})
    links.set_address("park", ["203.0.113.99"])
    assert kernel.networks["park"] == ["203.0.113.99/32", "198.51.100.16/28"]
    assert kernel.mtus[1:] == [(["203.0.113.31/32"], 1500), (["203.0.113.99/32", "198.51.100.16/28"], 1492)]
    with pytest.raises(ConfigError, match=r"203\.0\.113\.32 is home's; park needs an address of its own"):
        links.set_address("park", ["203.0.113.32"])
    with pytest.raises(ConfigError, match="'nowhere'"):
        links.set_address("park", ["nowhere"])


def test_cores_orders(links: Shaping, kernel: Kernel) -> None:
    orders = Core(Wiring(Interface(2, "wan0", IPv4Interface("203.0.113.1/24")), None, (), ()), links).orders
    before = kernel.links
    dry = {"site": "home", "direction": "both", "toward": None, "changes": {"loss": "1%"}, "dry": True}
    assert orders["link"](dry)["ways"]["up"] == "delay=10ms" and kernel.links == before
    assert orders["link"]({**dry, "dry": False}) == {
        "ways": {"up": "delay=10ms loss=1%", "down": "delay=10ms loss=1%"},
    }
    toward = {"site": "home", "direction": "toward", "toward": "park", "changes": {"delay": "1ms"}}
    assert orders["link"](toward)["ways"]["toward park"] == "delay=1ms"
    assert orders["address"]({"site": "home", "old": "203.0.113.32", "new": "203.0.113.99"}) == {}
    assert links.addresses("home") == ["203.0.113.99", "2001:db8:0:1::32"]
    assert orders["address"]({"site": "linkless", "old": "203.0.113.5", "new": "203.0.113.6"}) == {}
    with pytest.raises(ConfigError, match=r"does not have 203\.0\.113\.1, but 203\.0\.113\.99"):
        orders["address"]({"site": "home", "old": "203.0.113.1", "new": "203.0.113.2"})
    with pytest.raises(ConfigError, match="expected changes of a link"):
        orders["link"]({"site": "home"})
    assert orders["restore"]({}) == {"changed": True}
    assert orders["restore"]({}) == {"changed": False} and kernel.links == before
    assert orders["status"]({})["shaping"]["by"] == "nfqueue"


DUAL = {"dual": ["203.0.113.37", "2001:db8:0:1::37"], "park": ["203.0.113.31"]}
ROUTED = {**ENVIRON, "LAB_ROUTES": f"{ROUTES}, 2001:db8:0:38::/64 via 2001:db8:0:1::37"}


def test_a_site_without_a_link_in_the_file_gets_one_when_it_is_asked_for(kernel: Kernel) -> None:
    links = Shaping.of_core(ROUTED, interface=2)
    links.start()
    before = kernel.links
    assert links.set_link("dual", "up", {"delay": "50ms"}, addresses=DUAL, dry=True)["up"] == ""
    assert (kernel.links, links.changed) == (before, False)
    links.set_link("dual", "up", {"delay": "50ms"}, addresses=DUAL)
    assert kernel.links == f"{before}; dual 203.0.113.37,2001:db8:0:1::37 up.delay=50ms"
    assert kernel.networks["dual"] == ["203.0.113.37/32", "2001:db8:0:1::37/128", "2001:db8:0:38::/64"]
    links.set_link("dual", "both", {"mtu": "1400"}, addresses=DUAL)
    assert kernel.mtus == [(kernel.networks["dual"], 1400)]
    links.restore()
    assert (kernel.links, links.changed) == (before, False)
    assert kernel.mtus[1:] == [(["203.0.113.37/32", "2001:db8:0:1::37/128", "2001:db8:0:38::/64"], 1500)]


def test_another_site_may_be_one_without_a_link_as_well(links: Shaping, kernel: Kernel) -> None:
    links.set_link("home", "toward", {"loss": "100%"}, "dual", addresses=DUAL)
    assert kernel.links.startswith("home 203.0.113.32,2001:db8:0:1::32 up.delay=10ms down.delay=10ms toward.dual.loss")
    assert kernel.networks["dual"] == ["203.0.113.37/32", "2001:db8:0:1::37/128"]


def test_a_site_with_addresses_of_another_or_with_none_is_not_met(links: Shaping, kernel: Kernel) -> None:
    before = kernel.links
    with pytest.raises(ConfigError, match=r"203\.0\.113\.31 is park's; dual needs an address of its own"):
        links.set_link("dual", "up", {"delay": "50ms"}, addresses={"dual": ["203.0.113.31"]})
    with pytest.raises(ConfigError, match="allowed: 1280 to 1500 where a site has IPv6"):
        links.set_link("dual", "both", {"mtu": "1000"}, addresses=DUAL)
    kernel.broken = True
    with pytest.raises(RuntimeUnavailable):
        links.set_link("dual", "up", {"delay": "50ms"}, addresses=DUAL)
    assert (kernel.links, links.changed, links.sites) == (before, False, ("home", "park"))


def begun(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Core:
    """Core as it is after a start."""
    monkeypatch.setattr(rules, "load", lambda rules: None)
    monkeypatch.setattr(rules, "feed", lambda command, text: None)
    monkeypatch.setattr(attach, "forward", lambda wiring: None)
    wan = Interface(2, "eth0", IPv4Interface("203.0.113.1/24"))
    return Core.begin(Wiring(wan, None, (), ()), {"LAB_LINKS": LINKS, **environ})


def test_core_keeps_its_seed_and_its_links_over_a_restart(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    core = begun(monkeypatch)
    drawn = core.status()["shaping"]["seed"]
    asked = {"site": "dual", "direction": "up", "changes": {"delay": "50ms"}, "addresses": DUAL}
    core.orders["link"]({"order": "link", **asked})
    again = begun(monkeypatch)
    assert again.status()["shaping"]["seed"] == drawn
    assert again.shaping.link("dual")["up"] == "delay=50ms"
    again.orders["restore"]({})
    last = begun(monkeypatch)
    assert (last.status()["shaping"]["seed"], last.shaping.changed, last.shaping.sites) == (
        drawn,
        False,
        ("home", "park"),
    )
    assert begun(monkeypatch, LAB_SEED="7").shaping.seed == 7
    assert begun(monkeypatch).shaping.seed == 7
