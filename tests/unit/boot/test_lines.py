"""What a router behind a carrier, and the carrier's, hold back: each what comes in to it, and no more."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Interface
from typing import Any

import pytest

from lab.boot import attach, cable, lines, memory, mtu, rules
from lab.boot.lines import Lines
from lab.boot.router import Router
from lab.boot.wiring import Interface, Wiring
from lab.errors import RuntimeUnavailable
from lab.links import Entry, write
from lab.links.emulator import Network
from lab.links.queueing import queueing

LINK = "mobile 100.64.63.11 up.delay=10ms up.mtu=1400 down.delay=30ms down.mtu=1300"
OWN = {
    "lab.site": "mobile",
    "lab.profile": "linux",
    "lab.firewall": "none",
    "LAB_UPSTREAM": "100.64.63.1",
    "LAB_LINKS": LINK,
    "LAB_SEED": "7",
}
CARRIER = {"lab.site": "carrier", "lab.profile": "carrier-grade", "lab.firewall": "none", "LAB_LINKS": LINK}


def wiring(wan: str, lan: str) -> Wiring:
    sides = (Interface(2, "eth0", IPv4Interface(wan)), Interface(3, "eth1", IPv4Interface(lan)))
    return Wiring(sides[0], sides[1], (), ())


class Kernel:
    """Stands for the reader and the rules; `raw` is what iptables was told last."""

    by = "nfqueue"

    def __init__(self) -> None:
        self.started = self.fed = 0
        self.raw, self.mtus, self.told = "", list[tuple[str, int]](), dict[str, Any]()
        self.loaded = list[str]()
        self.lacks = ""

    def emulating(self, seed: int, say: object, mend: str, *, first: Any) -> "Kernel":
        self.started, self.seed, self._first = self.started + 1, seed, first
        return self

    def apply(
        self, entries: tuple[Entry, ...], networks: Mapping[str, tuple[Network, ...]], *, anew: bool = False
    ) -> None:
        if self.lacks:
            raise RuntimeUnavailable(self.lacks)
        self.links = write(entries)
        self.networks = {site: list(map(str, owned)) for site, owned in networks.items()}
        self.raw, self.fed = queueing(entries, networks, (), self._first())[4], self.fed + 1

    def status(self) -> dict[str, Any]:
        return {}

    def stop(self) -> None:
        self.started -= 1

    def set_down(self, interface: int, networks: Iterable[Network], size: int) -> None:
        self.mtus += [(str(network), size) for network in networks]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(lines, "Emulating", kernel.emulating)
    monkeypatch.setattr(mtu, "set_down", kernel.set_down)
    monkeypatch.setattr(mtu, "set_up", lambda *words: None)
    monkeypatch.setattr(memory, "recall", lambda: kernel.told)
    monkeypatch.setattr(memory, "remember", lambda told: kernel.told.update(told))
    monkeypatch.setattr(rules, "load", lambda rendered: kernel.loaded.append("rules"))
    for module, name in ((rules, "forget"), (attach, "hold"), (attach, "forward")):
        monkeypatch.setattr(module, name, lambda *words: None)
    return kernel


def subscriber(kernel: Kernel) -> Router:
    return Router.begin(wiring("100.64.63.11/26", "192.168.67.1/24"), OWN)


def carrier(kernel: Kernel) -> Router:
    return Router.begin(wiring("203.0.113.63/24", "100.64.63.1/26"), CARRIER)


def test_what_comes_down_waits_at_the_sites_own_router(kernel: Kernel) -> None:
    subscriber(kernel)
    assert kernel.links == "mobile 100.64.63.11 down.delay=30ms down.mtu=1300"
    assert kernel.raw.splitlines()[2:-1] == [
        "-A PREROUTING -i eth0 -d 192.168.67.0/24 -j DROP",
        "-A PREROUTING ! -i eth0 -j ACCEPT",
        "-A PREROUTING -d 100.64.63.11/32 -j NFQUEUE --queue-num 1",
    ]
    assert (kernel.seed, kernel.mtus) == (7, []), "the MTU of the way down is the carrier's to know"


def test_what_goes_up_waits_at_the_carrier(kernel: Kernel) -> None:
    carrier(kernel)
    assert kernel.links == "mobile 100.64.63.11 up.delay=10ms up.mtu=1400"
    assert kernel.raw.splitlines()[2:-1] == [
        "-A PREROUTING -i eth0 -d 100.64.63.0/26 -j DROP",
        "-A PREROUTING ! -i eth1 -j ACCEPT",
        "-A PREROUTING -s 100.64.63.11/32 -j NFQUEUE --queue-num 1",
    ]
    assert kernel.mtus == [("100.64.63.11/32", 1300)]


def test_a_carrier_that_is_plugged_in_again_has_the_mtu_of_its_subscribers_lines_on_its_new_routes(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = carrier(kernel)
    router.orders["link"](change(direction="down", changes={"mtu": "1200"}))
    router.orders["address"]({"site": "mobile", "old": "100.64.63.11", "new": "100.64.63.33"})
    kernel.mtus.clear()
    monkeypatch.setattr(cable, "_role", lambda: "router")
    monkeypatch.setattr(attach, "attach", lambda *words: wiring("203.0.113.63/24", "100.64.63.1/26"))
    assert cable._attach()
    assert kernel.mtus == [("100.64.63.33/32", 1200)]


def test_a_subscriber_that_is_plugged_in_again_knows_nothing_of_the_way_down(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber(kernel)
    monkeypatch.setattr(cable, "_role", lambda: "router")
    monkeypatch.setattr(attach, "attach", lambda *words: wiring("100.64.63.11/26", "192.168.67.1/24"))
    assert cable._attach()
    assert kernel.mtus == []


def test_a_router_without_lines_starts_nothing(kernel: Kernel) -> None:
    router = Router.begin(wiring("203.0.113.32/24", "192.168.32.1/24"), {**CARRIER, "LAB_LINKS": ""})
    assert (kernel.started, router.status()["shaping"], router.status()["changed"]) == (0, None, False)


def test_rules_that_are_put_in_place_anew_take_no_line_away(kernel: Kernel) -> None:
    router = subscriber(kernel)
    before, kernel.raw = kernel.raw, "gone with the rules"
    router.orders["set"]({"profile": "symmetric"})
    assert kernel.raw == before


def test_an_address_that_the_router_has_renewed_to_is_on_the_line(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = subscriber(kernel)
    monkeypatch.setattr("lab.boot.router.readdress", lambda *words: None)
    monkeypatch.setattr(attach, "attach", lambda *words: wiring("100.64.63.32/26", "192.168.67.1/24"))
    router.orders["renew"]({"outer": "100.64.63.32"})
    assert "-d 100.64.63.32/32" in kernel.raw and "100.64.63.11/32" not in kernel.raw


def change(**words: Any) -> dict[str, Any]:
    return {"order": "link", "site": "mobile", "direction": "both", "changes": {"loss": "5%"}, **words}


def test_a_change_holds_over_a_restart_and_luck_goes_on(kernel: Kernel) -> None:
    first = carrier(kernel)
    seed = kernel.seed
    first.orders["link"](change())
    first.stop()
    second = carrier(kernel)
    assert "loss=5%" in kernel.links and kernel.seed == seed
    assert second.status()["changed"]
    second.orders["restore"]({})
    assert "loss" not in kernel.links and not second.status()["changed"]
    assert kernel.told["links"]["orders"] == []


def test_settings_and_links_hold_over_two_restarts(kernel: Kernel) -> None:
    """Links are had before settings are in force, and what is kept meanwhile must not be the file's."""
    first = subscriber(kernel)
    first.orders["set"]({"profile": "symmetric"})
    first.orders["link"](change())
    for _ in range(2):
        again = subscriber(kernel)
        assert again.status()["profile"] == "symmetric" and "loss=5%" in kernel.links
        assert kernel.told["profile"] == "symmetric" and len(kernel.told["links"]["orders"]) == 1


def test_a_seed_that_was_drawn_is_kept_from_the_start(kernel: Kernel) -> None:
    carrier(kernel)
    seed = kernel.seed
    carrier(kernel)
    assert kernel.seed == seed


def test_toward_a_site_that_is_not_translated_its_hosts_are_meant(kernel: Kernel) -> None:
    router = carrier(kernel)
    known = {"addresses": {"open": ["203.0.113.31"]}, "prefixes": {"open": ["198.51.100.16/28"]}}
    router.orders["link"](change(direction="toward", toward="open", **known))
    assert kernel.networks["open"] == ["203.0.113.31/32", "198.51.100.16/28"]


def test_a_line_that_the_file_does_not_give_is_begun_when_it_is_ordered(kernel: Kernel) -> None:
    router = Router.begin(wiring("203.0.113.63/24", "100.64.63.1/26"), {**CARRIER, "LAB_LINKS": ""})
    dry = change(addresses={"mobile": ["100.64.63.12"]}, dry=True)
    assert "seed" not in router.orders["link"](dry)
    assert kernel.started == 0
    told = [router.orders["link"]({**dry, "dry": False}) for _ in range(2)]
    assert [one.get("seed") for one in told] == [kernel.seed, None], "what its luck begins with, once"
    assert "-s 100.64.63.12/32 -j NFQUEUE" in kernel.raw
    assert router.status()["shaping"]["links"]["mobile"]["up"] == "loss=5%"


def test_a_line_that_a_kernel_cannot_have_is_refused_and_the_router_says_what_it_is_as_before(kernel: Kernel) -> None:
    router = Router.begin(wiring("203.0.113.63/24", "100.64.63.1/26"), {**CARRIER, "LAB_LINKS": ""})
    kernel.lacks = "this kernel gives no netfilter queue"
    for _ in range(2):
        with pytest.raises(RuntimeUnavailable, match="no netfilter queue"):
            router.orders["link"](change(addresses={"mobile": ["100.64.63.12"]}))
        assert (router.status()["shaping"], router.status()["changed"], kernel.started) == (None, False, 0)
    assert kernel.told["links"]["orders"] == []


def test_lines_know_which_side_is_whose(kernel: Kernel) -> None:
    sides = wiring("100.64.63.11/26", "192.168.67.1/24")
    assert Lines(sides, OWN, None, tuple, tuple).sites == ("mobile",)
