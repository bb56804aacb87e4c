"""Both families, carriers, proxies, TLS, slow and lossy links: each path is named, and each lie about it found out."""

from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from packet_world import START
from wide_world import (
    FAY,
    FAY6,
    MIA,
    MIA6,
    NORA,
    OLGA,
    OLGA6,
    SAM,
    TOPOLOGY,
    Line,
    WideWorld,
    through_proxy,
)

from lab.errors import EvidenceError
from lab.evidence import Captures, Claim, Finding, Observed, Verdict, hold, judge
from lab.topology.model import Attachment

pytestmark = pytest.mark.slow


SECONDS = 3.0
Path3 = tuple[str | None, str | None, str | None]
DIRECT, PUNCHED, RELAYED = ("direct", "udp", None), ("punched", "udp", None), ("relayed", "udp", "relay-1")
BEN, FRED = through_proxy("ben", "bank"), through_proxy("fred", "firm", 4100)


def seen(captures: Captures, caller: str, callee: str) -> Observed:
    return judge(TOPOLOGY, captures, caller, callee, START, START + SECONDS)


def path_of(observed: Observed) -> Path3:
    return observed.kind, observed.transport, observed.via


def held(captures: Captures, caller: str, callee: str, *stretches: tuple[float, float, Path3]) -> Verdict:
    history = [Claim(START + begin, START + end, *path) for begin, end, path in stretches]  # type: ignore[arg-type]
    return hold(TOPOLOGY, captures, caller, callee, history, START - 1, START + 20)


def only(captures: Captures, caller: str, callee: str, truth: Path3, *lies: Path3) -> None:
    """The truth about a call of three seconds holds, and no lie about it does."""
    verdict = held(captures, caller, callee, (0, SECONDS, truth))
    assert verdict.agrees, verdict.reasons
    assert path_of(verdict.observed) == truth
    for lie in lies:
        assert not held(captures, caller, callee, (0, SECONDS, lie)).agrees, lie


# --- IPv6


@pytest.mark.parametrize("how", ["udp", "tcp", "tls"])
@pytest.mark.parametrize(
    ("one", "two", "kind"),
    [(OLGA6, FAY6, "direct"), (FAY6, MIA6, "punched"), (OLGA, MIA, "direct"), (FAY, MIA, "punched")],
    ids=["one-prefix-translated", "both-prefixes-translated", "one-translated", "both-translated"],
)
def test_kind_follows_translation_in_either_family_whatever_is_wrapped(
    tmp_path: Path, one: Line, two: Line, kind: str, how: str
) -> None:
    world = WideWorld(delay=0.02)
    world.talk(one, two, 0, SECONDS, how)
    transport = "udp" if how == "udp" else "tcp"
    captures = world.captures(tmp_path)
    other = "punched" if kind == "direct" else "direct"
    only(captures, one.name, two.name, (kind, transport, None), (other, transport, None), (*RELAYED[:2], "relay-1"))
    assert seen(captures, one.name, two.name).packets == 300


def test_public_addresses_of_ipv6_are_direct(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    fay = Line("fay", ("fd00:32::a", 4000), (("farm-router", ("fd00:32::a", 4000)),))
    world.talk(OLGA6, fay, 0, SECONDS)
    only(world.captures(tmp_path), "olga", "fay", DIRECT, PUNCHED)


def test_a_call_that_moves_between_families_is_followed(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.talk(OLGA, FAY, 0, 1.5)
    world.talk(OLGA6, FAY6, 1.5, 1.5)
    only(world.captures(tmp_path), "olga", "fay", DIRECT, PUNCHED)


def test_media_in_both_families_at_once_is_on_two_paths(tmp_path: Path) -> None:
    world = WideWorld()
    world.talk(OLGA, FAY, 0, SECONDS)
    world.talk(OLGA6, FAY6, 0, SECONDS)
    assert seen(world.captures(tmp_path), "olga", "fay").finding is Finding.TWO_PATHS


@pytest.mark.parametrize("hows", [("udp", "udp"), ("udp", "tcp"), ("udp", "tls"), ("tls", "tls")])
@pytest.mark.parametrize("at", ["relay-1", "relay-2"])
def test_a_relay_joins_the_families_and_is_named(tmp_path: Path, at: str, hows: tuple[str, str]) -> None:
    world = WideWorld(delay=0.02)
    world.relay(FAY6, MIA, 0, SECONDS, hows, at=at)
    transport = {("udp", "udp"): "udp", ("tls", "tls"): "tcp"}.get(hows, "mixed")
    other = "relay-2" if at == "relay-1" else "relay-1"
    truth = ("relayed", transport, at)
    only(world.captures(tmp_path), "fay", "mia", truth, ("relayed", transport, other), PUNCHED)


@pytest.mark.parametrize("hows", [("udp", "udp"), ("udp", "tcp"), ("udp", "tls"), ("tls", "tls")])
def test_a_client_that_is_a_relay_beside_is_named_as_any_other(tmp_path: Path, hows: tuple[str, str]) -> None:
    world = WideWorld(delay=0.02)
    world.relay(FAY, MIA, 0, SECONDS, hows, at="olga")
    transport = {("udp", "udp"): "udp", ("tls", "tls"): "tcp"}.get(hows, "mixed")
    captures = world.captures(tmp_path)
    only(captures, "fay", "mia", ("relayed", transport, "olga"), ("relayed", transport, "relay-1"), PUNCHED)


# --- proxies


@pytest.mark.parametrize("how", ["tcp", "tls"])
def test_a_proxy_counts_as_its_sites_router(tmp_path: Path, how: str) -> None:
    world = WideWorld(delay=0.02)
    world.talk(BEN, OLGA, 0, SECONDS, how)
    captures = world.captures(tmp_path)
    only(captures, "ben", "olga", ("direct", "tcp", None), ("punched", "tcp", None), ("direct", "tcp", "bank-proxy"))
    end = seen(captures, "ben", "olga").paths[0].caller
    assert (end.inside, end.outside, end.translated) == (BEN.own, BEN.outer, True)


def test_a_proxy_and_a_router_that_translates_are_punched(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.talk(BEN, MIA, 0, SECONDS, "tls")
    only(world.captures(tmp_path), "ben", "mia", ("punched", "tcp", None), ("direct", "tcp", None))


@pytest.mark.parametrize("far", [FRED, MIA], ids=["another-proxy", "udp"])
def test_proxies_lead_to_a_relay(tmp_path: Path, far: Line) -> None:
    world = WideWorld(delay=0.02)
    world.relay(BEN, far, 0, SECONDS, ("tls", "tls" if far is FRED else "udp"))
    transport = "tcp" if far is FRED else "mixed"
    truth = ("relayed", transport, "relay-1")
    only(world.captures(tmp_path), "ben", far.name, truth, ("direct", "tcp", None), ("relayed", transport, "relay-2"))


def test_media_through_a_proxy_to_a_relay_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    world = WideWorld()
    world.relay(BEN, FRED, 0, SECONDS, ("tls", "tls"), deliver=False)
    observed = seen(world.captures(tmp_path), "ben", "fred")
    assert observed.finding is Finding.AT_RELAY
    assert "ben with relay-1 (203.0.113.21:34001) by TCP" in observed.reason


def test_without_the_capture_of_a_proxy_nothing_is_confirmed(tmp_path: Path) -> None:
    world = WideWorld()
    world.talk(BEN, OLGA, 0, SECONDS, "tls")
    captures = world.captures(tmp_path, without=("bank-proxy",))
    assert not held(captures, "ben", "olga", (0, SECONDS, ("direct", "tcp", None))).agrees


def test_a_proxys_router_that_shows_nothing_is_an_error(tmp_path: Path) -> None:
    world = WideWorld(mute={"bank-router"})
    world.talk(BEN, OLGA, 0, SECONDS, "tls")
    with pytest.raises(EvidenceError, match="bank-router shows TCP media"):
        seen(world.captures(tmp_path), "ben", "olga")


# --- legs inside TLS


@pytest.mark.parametrize("hows", [("tls", "tls"), ("udp", "tls"), ("tls", "tcp")])
def test_legs_inside_tls_are_told_apart_by_their_sizes(tmp_path: Path, hows: tuple[str, str]) -> None:
    world = WideWorld(delay=0.02, loss=0.05)
    world.relay(FAY, MIA, 0, SECONDS, hows)
    world.relay(NORA, BEN, 0, SECONDS, (hows[0], "tls"))
    captures = world.captures(tmp_path)
    transport = "tcp" if hows != ("udp", "tls") else "mixed"
    only(captures, "fay", "mia", ("relayed", transport, "relay-1"), ("relayed", transport, "relay-2"), PUNCHED)
    assert seen(captures, "nora", "ben").kind == "relayed"
    for pair in (("fay", "ben"), ("nora", "mia"), ("mia", "ben"), ("fay", "nora")):
        assert seen(captures, *pair).kind is None, pair
        assert not held(captures, *pair, (0, SECONDS, ("relayed", transport, "relay-1"))).agrees, pair


@pytest.mark.parametrize(("apart", "joined"), [(0.0, False), (0.005, True), (0.04, True), (0.7, True)])
def test_calls_that_play_one_recording_are_told_apart_by_time(tmp_path: Path, apart: float, joined: bool) -> None:
    world = WideWorld(delay=0.02)
    said = {number: world.voice(number) for side in (0, 100_000) for number in range(side, side + 200)}
    for index, pair in enumerate(((FAY, MIA), (NORA, BEN))):
        world.random.seed(9)  # the same jitter: only the beginnings differ
        world.relay(*pair, index * apart, SECONDS, ("tls", "tls"), say=said.__getitem__)
    captures = world.captures(tmp_path)
    for caller, callee in (("fay", "mia"), ("nora", "ben")):
        observed = judge(TOPOLOGY, captures, caller, callee, START + 0.7, START + SECONDS)
        assert (observed.kind == "relayed") is joined, observed.reason
    for caller, callee in (("fay", "ben"), ("nora", "mia")):
        assert judge(TOPOLOGY, captures, caller, callee, START + 0.7, START + SECONDS).kind is None


@pytest.mark.parametrize("hows", [("tls", "tls"), ("udp", "tls")])
def test_setting_up_a_leg_inside_tls_is_no_media_of_it(tmp_path: Path, hows: tuple[str, str]) -> None:
    world = WideWorld(delay=0.02)
    ringing = 0.95
    for line in (MIA, FAY) if hows[0] == "tls" else (MIA,):
        world.set_up(line, "relay-1", -ringing, 0.35)
    world.relay(FAY, MIA, 0, SECONDS, hows)
    world.relay(NORA, BEN, 0, SECONDS, ("tls", "tls"))
    truth = ("relayed", "tcp" if hows[0] == "tls" else "mixed", "relay-1")
    captures = world.captures(tmp_path)
    only(captures, "fay", "mia", truth, PUNCHED)
    late = held(captures, "fay", "mia", (1.0, SECONDS, truth))
    assert any("outside every relayed stretch" in reason for reason in late.reasons)


def test_a_leg_inside_tls_that_is_only_set_up_is_no_media_at_a_relay(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.set_up(MIA, "relay-1", 0, 0.6)
    world.talk(FAY, MIA, 0, SECONDS)
    only(world.captures(tmp_path), "fay", "mia", PUNCHED)


def test_media_inside_tls_at_a_relay_beside_a_punched_call_is_found_out(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.talk(FAY, MIA, 0, SECONDS)
    world.relay(FAY, MIA, 1, 1.5, ("tls", "tls"), deliver=False)
    assert not held(world.captures(tmp_path), "fay", "mia", (0, SECONDS, PUNCHED)).agrees


def test_a_leg_inside_tls_that_changes_its_connection_stays_joined(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.relay(FAY, MIA, 0, 1.5, ("tls", "tls"))
    world.relay(replace(FAY, own=("192.168.32.10", 4001), places=(("farm-router", ("203.0.113.32", 4001)),)),
                MIA, 1.5, 1.5, ("tls", "tls"))  # fmt: skip
    world.relay(NORA, BEN, 0, SECONDS, ("tls", "tls"))
    only(world.captures(tmp_path), "fay", "mia", ("relayed", "tcp", "relay-1"), PUNCHED)


def test_a_short_stretch_inside_tls_is_found_by_its_trace(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.relay(FAY, MIA, 0, 0.2, ("tls", "udp"))
    world.talk(FAY, MIA, 0.2, SECONDS - 0.2)
    captures = world.captures(tmp_path)
    mixed = ("relayed", "mixed", "relay-1")
    verdict = held(captures, "fay", "mia", (0, 0.2, mixed), (0.2, SECONDS, PUNCHED))
    assert verdict.agrees, verdict.reasons
    for lie in (RELAYED, ("relayed", "mixed", "relay-2"), ("punched", "tcp", None)):
        assert not held(captures, "fay", "mia", (0, 0.2, lie), (0.2, SECONDS, PUNCHED)).agrees, lie


# --- carriers


@pytest.mark.parametrize("how", ["udp", "tcp", "tls"])
def test_a_call_turned_back_by_the_carrier_is_punched(tmp_path: Path, how: str) -> None:
    world = WideWorld()
    world.talk(NORA, SAM, 0, SECONDS, how, turn="carrier-router")
    transport = "udp" if how == "udp" else "tcp"
    captures = world.captures(tmp_path)
    only(captures, "nora", "sam", ("punched", transport, None), ("direct", transport, None), RELAYED)
    assert seen(captures, "nora", "sam").packets == 300


def test_a_call_inside_the_carriers_network_is_punched_by_the_sites_routers(tmp_path: Path) -> None:
    world = WideWorld()
    nora, sam = replace(NORA, places=NORA.places[:1]), replace(SAM, places=SAM.places[:1])
    world.mute.add("core")  # a frame between the two routers reaches neither the carrier's router nor core
    world.talk(nora, sam, 0, SECONDS)
    only(world.captures(tmp_path), "nora", "sam", PUNCHED, DIRECT)


@pytest.mark.parametrize(("two", "truth"), [(OLGA, DIRECT), (FAY, PUNCHED)])
def test_both_routers_of_a_subscriber_are_passed(tmp_path: Path, two: Line, truth: Path3) -> None:
    world = WideWorld(delay=0.02)
    world.talk(NORA, two, 0, SECONDS)
    captures = world.captures(tmp_path)
    only(captures, "nora", two.name, truth, PUNCHED if truth == DIRECT else DIRECT)
    with pytest.raises(EvidenceError, match="carrier-router was not captured"):
        seen(world.captures(tmp_path, without=("carrier-router",)), "nora", two.name)


# --- slow and lossy links, and changes while a call lasts


@pytest.mark.parametrize("delay", [0.0, 0.04, 0.4, 0.8])
def test_a_move_is_known_to_the_far_end_one_flight_later(tmp_path: Path, delay: float) -> None:
    world = WideWorld(delay=delay, loss=0.1)
    world.relay(FAY, MIA, 0, 6.0, lag=delay)
    world.talk(FAY, MIA, 6.0, 6.0, lag=delay)
    captures = world.captures(tmp_path)
    verdict = held(captures, "fay", "mia", (0, 6, RELAYED), (6, 12, PUNCHED))
    assert verdict.agrees, verdict.reasons
    assert 2 * delay <= verdict.flight <= 2 * delay + 0.01
    off = 0.4 + 2.5 * verdict.flight
    assert not held(captures, "fay", "mia", (0, 6 + off, RELAYED), (6 + off, 12, PUNCHED)).agrees
    assert not held(captures, "fay", "mia", (0, 6 - off, RELAYED), (6 - off, 12, PUNCHED)).agrees


@pytest.mark.parametrize("loss", [0.05, 0.3, 0.6])
def test_packets_lost_behind_core_contradict_nothing(tmp_path: Path, loss: float) -> None:
    world = WideWorld(delay=0.4, loss=loss)
    world.talk(FAY, MIA, 0, SECONDS)
    only(world.captures(tmp_path), "fay", "mia", PUNCHED, DIRECT, RELAYED)


def test_a_router_that_gives_new_mappings_is_still_one_path(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    renewed = replace(FAY, places=(("farm-router", ("203.0.113.99", 1024)),))
    world.talk(FAY, MIA, 0, 1.4)
    world.talk(renewed, MIA, 1.4, 1.6)
    captures = world.captures(tmp_path)
    only(captures, "fay", "mia", PUNCHED, DIRECT)
    assert seen(captures, "fay", "mia").packets == 300


def test_a_renewed_mapping_towards_a_relay_is_still_one_path(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.relay(FAY, MIA, 0, 1.4)
    world.relay(replace(FAY, places=(("farm-router", ("203.0.113.99", 1024)),)), MIA, 1.4, 1.6)
    captures = world.captures(tmp_path)
    only(captures, "fay", "mia", RELAYED, PUNCHED)
    assert seen(captures, "fay", "mia").packets == pytest.approx(600, abs=8)


def test_a_client_is_judged_by_the_network_that_its_address_is_in(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    moved = Line("fay", ("192.168.36.20", 4000), (("north-router", ("100.64.0.2", 1)), NORA.places[1]))
    world.talk(FAY, OLGA, 0, 1.5)
    world.talk(moved, OLGA, 1.5, 1.5)
    fay = TOPOLOGY.node("fay")
    there = replace(fay, attachments=(*fay.attachments, Attachment("north", IPv4Interface("192.168.36.20/24"))))
    live = replace(TOPOLOGY, nodes=tuple(there if node is fay else node for node in TOPOLOGY.nodes))
    captures = world.captures(tmp_path)
    history = [Claim(START, START + SECONDS, *DIRECT)]
    verdict = hold(live, captures, "fay", "olga", history, START - 1, START + 5)
    assert verdict.agrees, verdict.reasons
    lie = [Claim(START, START + SECONDS, *PUNCHED)]
    assert not hold(live, captures, "fay", "olga", lie, START - 1, START + 5).agrees
