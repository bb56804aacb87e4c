"""Which sites are certified, in which order, and how what the live lab says is read."""

import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lab.certify.asking import Severed
from lab.certify.bench import PORTS, Ports
from lab.certify.certificate import SiteCertificate
from lab.certify.claimed import LinkClaim, Router
from lab.certify.comparing import Draw
from lab.certify.ends import Endpoint
from lab.certify.findings import Findings, Reach, Transport
from lab.errors import ConfigError, EvidenceError, RuntimeUnavailable
from lab.harness import certifying, claiming
from lab.harness.certifying import LEAST_PORTS, Progress
from lab.harness.checkout import Checkout
from lab.harness.claiming import SiteClaim
from lab.nat import firewall, profile
from lab.runtime import probes
from lab.runtime.world import World
from lab.topology import parse
from lab.topology.model import Node

REFERENCE = Path(__file__).parents[3] / "compose" / "reference.yml"


@pytest.fixture
def world() -> World:
    return World("lab", parse(REFERENCE), {}, REFERENCE)


def test_all_sites_or_those_that_are_named_in_the_order_of_the_topology(world: World) -> None:
    assert certifying._in_order(world, ()) == world.topology.sites()
    assert certifying._in_order(world, ("office", "home")) == ("home", "office")


def test_an_unknown_site_is_refused_with_the_names_of_those_there_are(world: World) -> None:
    with pytest.raises(ConfigError, match=r"no site is called 'home-router'; the lab has bank, flat, home"):
        certifying._in_order(world, ("home-router",))


def claim_of(site: str) -> SiteClaim:
    router = Router("r", profile("linux"), firewall("none"))
    return SiteClaim(site, "linux", "none", None, (router,), LinkClaim(), (4,))


def test_a_site_whose_way_is_cut_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(engine: Any, world: Any, outside: Any, claim: SiteClaim, *rest: Any) -> SiteCertificate:
        if claim.site == "cut":
            raise Severed("12 control packets in a row were lost")
        return SiteCertificate(claim.site, "linux", "none", None, None, None, 1.0)

    monkeypatch.setattr(certifying, "_site", one)
    steps: list[Progress] = []
    nothing: Any = None
    found = certifying._all(nothing, nothing, nothing, [claim_of("cut"), claim_of("home")], steps.append)
    assert [(site.site, site.agrees) for site in found] == [("cut", False), ("home", True)]
    assert found[0].disagreements() == ("not measured: 12 control packets in a row were lost",)
    assert found[0].to_json()["failure"] == "12 control packets in a row were lost"
    assert steps[-1].done == 2


@pytest.mark.parametrize(
    ("claim", "waits"),
    [
        (claim_of("home"), False),
        (replace(claim_of("home"), routers=(Router("r", profile("linux"), firewall("udp-throttled")),)), True),
        (replace(claim_of("home"), rated=("home",)), True),
    ],
)
def test_where_something_narrow_is_asked_about_clients_are_let_find_out_first(
    world: World, monkeypatch: pytest.MonkeyPatch, claim: SiteClaim, waits: bool
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(certifying, "find_out", lambda engine, world, clients: waited.extend(clients))
    running = {node.name: Mock(running=node.name != "bob") for node in world.topology.nodes}
    nothing: Any = None
    certifying._let_clients_look(nothing, replace(world, containers=running), [claim_of("park"), claim], Mock())
    assert ("alice" in waited, "bob" in waited) == (waits, False)


@pytest.mark.parametrize("families", [(4,), (6,), (4, 6)])
def test_what_a_site_that_could_not_be_measured_claims_is_in_its_document_whole(families: tuple[int, ...]) -> None:
    def cut() -> SiteCertificate:
        raise Severed("the way was cut")

    nothing: Any = None
    claim = replace(claim_of("cut"), families=families, proxy=True)
    said = [certifying._says(claim, family).to_json() for family in families]
    document = certifying._or_why_not(nothing, claim, threading.Event(), cut).to_json()
    claimed, measured = document["claimed"], document["measured"]
    both = {"ipv6": said[1]} if said[1:] else {}
    assert claimed == said[0] | both
    assert claimed["outbound"]["proxy"] is (True if 4 in families else None)
    assert paths(measured).keys() == paths(claimed).keys() and set(paths(measured).values()) == {None}
    assert (document["differences"], document["requirements"]) == ([], [])


def paths(said: dict[str, Any], above: str = "") -> dict[str, Any]:
    """What a document has nothing below, by its keys."""
    found = {}
    for key, value in said.items():
        found |= paths(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def test_a_certification_that_is_broken_off_is_no_failure_of_a_site() -> None:
    stop = threading.Event()
    stop.set()

    def one() -> SiteCertificate:
        raise RuntimeUnavailable("the certification was broken off")

    nothing: Any = None
    with pytest.raises(RuntimeUnavailable, match="broken off"):
        certifying._or_why_not(nothing, claim_of("home"), stop, one)


def test_a_link_too_narrow_for_the_questions_is_said_to_be_and_not_judged() -> None:
    nothing: Any = None
    narrow = replace(claim_of("home"), link=LinkClaim(up_rate=1_000))
    stop = threading.Event()
    found = certifying._or_why_not(
        nothing,
        narrow,
        stop,
        lambda: certifying._site(nothing, nothing, nothing, narrow, stop, nothing, nothing, nothing),
    )
    assert found.failure == (
        "the link of home carries 1kbit a second, too little for what is asked; give it 32kbit or more"
    )


def test_a_certification_says_what_the_links_on_the_way_left_to_chance_with(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path
) -> None:
    claim = replace(claim_of("home"), seed=7, line_seeds={"carrier-1-router": 8})
    nothing: Any = None
    monkeypatch.setattr(certifying.images, "ensure_images", lambda *words, only: None)
    monkeypatch.setattr(probes, "remove_all", lambda *words: None)
    monkeypatch.setattr(certifying, "claims", lambda *words: (claim,))
    monkeypatch.setattr(certifying, "OpenSide", lambda *words: nullcontext())
    monkeypatch.setattr(certifying, "_all", lambda *words: [])
    found = certifying.certify(nothing, Checkout(tmp_path), world, (), lambda text: None, lambda step: None).to_json()
    assert (found["seed"], found["line_seeds"]) == (7, {"carrier-1-router": 8})


def test_a_claim_has_the_seeds_of_core_and_of_the_routers_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    routers = {name: 8 + number for number, name in enumerate(("carrier-1-router", "mobile-1-router"))}

    def ask(engine: Any, world: Any, node: Node) -> dict[str, Any]:
        shaping = {"seed": routers[node.name], "links": {}}
        return {"profile": node.profile, "axes": node.axes, "firewall": node.firewall, "shaping": shaping}

    monkeypatch.setattr(claiming, "_ask", ask)
    monkeypatch.setattr(claiming.standing, "core", lambda *words: {"shaping": {"seed": 7, "links": {}}})
    nothing: Any = None
    (claim,) = claiming.claims(nothing, World("lab", parse(REFERENCE.with_name("zoo.yml"), {}), {}, None), ["mobile-1"])
    assert (claim.seed, claim.line_seeds) == (7, routers)


def test_what_is_set_toward_one_site_alone_is_said_not_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(engine: Any, world: Any, node: Node) -> dict[str, Any]:
        shaping = {"seed": 7, "links": {"mobile-1": {"up": "", "down": "", "toward": {"open-1": "loss=100%"}}}}
        return {"profile": node.profile, "axes": node.axes, "firewall": node.firewall, "shaping": shaping}

    links = {
        "carrier-1": {"up": "delay=10ms", "down": "delay=10ms", "toward": {"linux-1": "delay=50ms rate=64kbit"}},
        "linux-2": {"up": "", "down": "", "toward": {}},
    }
    monkeypatch.setattr(claiming, "_ask", ask)
    monkeypatch.setattr(claiming.standing, "core", lambda *words: {"shaping": {"seed": 7, "links": links}})
    nothing: Any = None
    world = World("lab", parse(REFERENCE.with_name("zoo.yml"), {}), {}, None)
    behind, carrier, plain = claiming.claims(nothing, world, ["mobile-1", "carrier-1", "linux-2"])
    of_carrier = "not measured: what the link of carrier-1 does to packets for linux-1 alone (delay=50ms rate=64kbit)"
    of_own = "not measured: what the link of mobile-1 does to packets for open-1 alone (loss=100%)"
    assert certifying._notes(behind) == (of_own, of_carrier)
    assert certifying._notes(carrier) == (of_carrier,) and certifying._notes(plain) == ()
    assert (behind.link.up.loss, behind.rated) == (0.0, ()), "nothing of it is claimed of the way to the internet"

    def cut() -> SiteCertificate:
        raise Severed("the way was cut")

    failed = certifying._or_why_not(nothing, behind, threading.Event(), cut)
    assert failed.to_json()["notes"] == [of_own, of_carrier]


def test_a_claim_knows_of_the_site_s_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(engine: Any, world: Any, node: Node) -> dict[str, Any]:
        return {"profile": node.profile, "axes": node.axes, "firewall": node.firewall}

    monkeypatch.setattr(claiming, "_ask", ask)
    monkeypatch.setattr(claiming.standing, "core", lambda *words: {"shaping": {"seed": 7, "links": {}}})
    nothing: Any = None
    zoo = World("lab", parse(REFERENCE.with_name("zoo.yml"), {}), {}, None)
    assert [claim.proxy for claim in claiming.claims(nothing, zoo, ["linux-1", "proxy-only-1"])] == [False, True]


def test_questions_are_paced_to_the_link_s_rate() -> None:
    wide, narrow = claim_of("home"), replace(claim_of("home"), link=LinkClaim(down_rate=64_000))
    assert certifying._patience(wide).pace_s == 0.0
    patience = certifying._patience(narrow)
    assert (patience.pace_s, patience.rate) == (pytest.approx(0.1), 64_000)
    assert patience.delay_s == pytest.approx(1500 * 8 / 64_000)


def test_core_s_words_of_a_link_are_read_as_lab_set_would_read_them() -> None:
    said = {"up": "delay=50ms loss=10% mtu=1492 blackhole=yes", "down": "delay=10ms jitter=5ms", "toward": {}}
    link = claiming._link("home", said)
    assert (link.up.delay, link.up.loss, link.down.jitter) == (0.05, 0.1, 0.005)
    assert (link.up.mtu, link.up.blackhole, link.down.mtu) == (1492, True, 1500)


def test_what_core_says_and_nobody_understands_is_refused_by_the_site_s_name() -> None:
    with pytest.raises(ConfigError, match="the link of home"):
        claiming._link("home", {"up": "slow", "down": ""})


def test_inner_ports_are_those_that_the_router_can_preserve() -> None:
    def claim(axes: str) -> SiteClaim:
        router = Router("r", profile("port-restricted-cone", axes), firewall("none"))
        return SiteClaim("s", "port-restricted-cone", "none", None, (router,), LinkClaim(), (4,))

    def taken(axes: str) -> tuple[int, int]:
        udp, tcp = certifying._inner_ports(claim(axes))
        return udp.take() // 10_000, tcp.take() // 10_000

    assert taken("") == (2, 2)
    assert taken("ports=40000-49999") == (4, 4)
    assert taken("udp-ports=40000-49999 tcp-ports=50000-59999") == (4, 5)
    assert taken("udp-ports=40000-49999") == (4, 2)


def test_no_inner_port_is_used_twice_where_both_transports_have_the_same() -> None:
    router = Router("r", profile("port-restricted-cone", "ports=40000-40003"), firewall("none"))
    udp, tcp = certifying._inner_ports(SiteClaim("s", "", "none", None, (router,), LinkClaim(), (4,)))
    assert {each.take() for each in (udp, tcp, udp, tcp)} == set(range(40000, 40004))


def site_behind(*settings: tuple[str, str], firewall_: str = "none") -> SiteClaim:
    routers = tuple(Router(f"r{number}", profile(*each), firewall(firewall_)) for number, each in enumerate(settings))
    return SiteClaim("s", "", firewall_, None, routers, LinkClaim(), (4,))


def test_inner_ports_that_a_router_can_preserve_come_first_and_there_are_enough_when_it_has_few() -> None:
    udp, tcp = certifying._inner_ports(site_behind(("port-restricted-cone", "ports=40000-40299")))
    given = [each.take() for _ in range(LEAST_PORTS) for each in (udp, tcp)]
    assert {*given[:300]} == {*range(40_000, 40_300)} and {*given[300:]} <= {*PORTS}
    assert len({*given}) == len(given)


def test_ports_that_are_used_up_are_said_to_be() -> None:
    ports = Ports((1, 2), spare=(3,))
    assert ({ports.take(), ports.take()}, ports.take()) == ({1, 2}, 3)
    with pytest.raises(EvidenceError, match="every inner port that there is to ask with was used"):
        ports.take()


def test_a_router_that_gives_out_other_ports_anyway_is_asked_with_any() -> None:
    for far in (("symmetric", "ports=40000-40299"), ("carrier-grade", "ports=40000-42047")):
        udp, _ = certifying._inner_ports(site_behind(("port-restricted-cone", "ports=50000-50299"), far))
        assert udp.take() in PORTS


def test_what_was_drawn_of_each_transport_is_counted_where_the_claim_is_that_it_was() -> None:
    seen = [Transport(allocated=tuple((Endpoint("a", n), Endpoint("b", n)) for n in range(count))) for count in (8, 7)]
    found = Findings(Reach(True, True, True, True, True), *seen)
    symmetric = site_behind(("symmetric", "tcp-ports=40000-49999"))
    assert certifying._draws(symmetric, 4, found) == {"ports": Draw(64_512, 8), "tcp.ports": Draw(10_000, 7)}
    assert certifying._draws(symmetric, 4, replace(found, udp=None)) == {"tcp.ports": Draw(10_000, 7)}
    assert certifying._draws(site_behind(("linux", "")), 4, found) == certifying._draws(symmetric, 6, found) == {}


@pytest.mark.parametrize(
    ("settings", "firewall_", "failure"),
    [
        ([("full-cone", "ports=40000-40063")], "none", "r0 has 64 UDP ports for a host of s"),
        ([("full-cone", "tcp-ports=40000-40063")], "none", "r0 has 64 TCP ports for a host of s"),
        ([("linux", ""), ("carrier-grade", "udp-ports-per-host=255")], "none", "r1 has 255 UDP ports for a host of s"),
        ([("full-cone", "ports=40000-40255")], "none", None),
        ([("full-cone", "udp-ports=40000-40063")], "udp-blocked", None),
        ([("full-cone", "tcp-ports=40000-40063")], "udp-blocked", "r0 has 64 TCP ports for a host of s"),
    ],
)
def test_a_site_whose_router_has_too_few_ports_fails_alone(
    monkeypatch: pytest.MonkeyPatch, settings: list[tuple[str, str]], firewall_: str, failure: str | None
) -> None:
    few, home = site_behind(*settings, firewall_=firewall_), claim_of("home")

    def enough(engine: Any, world: Any, lan: Any, inner: int) -> None:
        raise Severed("asked")

    monkeypatch.setattr(certifying, "stand", enough)
    nothing: Any = None
    found = certifying._all(nothing, Mock(), nothing, [few, home], lambda step: None)
    says = f"{failure}, too few for what is asked; give it 256 or more" if failure else "asked"
    assert [one.failure for one in found] == [says, "asked"]


def test_two_routers_that_share_no_port_are_asked_all_the_same() -> None:
    routers = tuple(
        Router("r", profile("port-restricted-cone", f"tcp-ports={ports}"), firewall("none"))
        for ports in ("40000-49999", "50000-59999")
    )
    _, tcp = certifying._inner_ports(SiteClaim("s", "", "none", "carrier", routers, LinkClaim(), (4,)))
    assert 20_000 <= tcp.take() < 30_000


def test_addresses_for_probes_are_taken_from_the_end_and_never_twice(world: World) -> None:
    (home,) = [one for one in world.topology.networks if one.name == "home"]
    assert probes.free_addresses(home.subnet, set(), 2) == ("192.168.32.253", "192.168.32.252")
    taken = {home.subnet[253], home.subnet[251]}
    assert probes.free_addresses(home.subnet, taken, 2) == ("192.168.32.252", "192.168.32.250")


def test_a_network_without_room_for_a_probe_is_refused_by_its_size(world: World) -> None:
    (home,) = [one for one in world.topology.networks if one.name == "home"]
    with pytest.raises(RuntimeUnavailable, match=r"192.168.32.0/24 has 0 free addresses, and 1 are needed"):
        probes.free_addresses(home.subnet, set(home.subnet), 1)
