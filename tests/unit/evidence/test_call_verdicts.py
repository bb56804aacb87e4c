"""Each kind of path, as its packets would lie in the captures, and every way in which there is none."""

from pathlib import Path

import pytest
from packet_world import IN, OUT, RELAY, START, TOPOLOGY, World, address, checks, frame, relay, signalling, talk

from lab.errors import ConfigError, EvidenceError
from lab.evidence import Finding, Observed, judge

SECONDS = 3.0


def verdict(
    world: World, folder: Path, caller: str, callee: str, start: float = 0.0, end: float = SECONDS, **extra: object
) -> Observed:
    captures = world.captures(folder, **extra)  # type: ignore[arg-type]
    return judge(TOPOLOGY, captures, caller, callee, START + start, START + end)


def path_of(seen: Observed) -> tuple[str | None, str | None, str | None]:
    return seen.kind, seen.transport, seen.via


@pytest.mark.parametrize(
    ("caller", "callee", "protocol", "kind"),
    [
        ("alice", "bob", "udp", "direct"),
        ("bob", "alice", "udp", "direct"),
        ("alice", "carol", "udp", "direct"),
        ("alice", "dave", "tcp", "direct"),
        ("erin", "alice", "tcp", "direct"),
        ("bob", "frank", "udp", "punched"),
        ("bob", "frank", "tcp", "punched"),
    ],
)
def test_media_between_the_two_is_direct_or_punched_by_translation(
    tmp_path: Path, caller: str, callee: str, protocol: str, kind: str
) -> None:
    world = World()
    talk(world, (caller, 4000), (callee, 5000), START, SECONDS, protocol)
    seen = verdict(world, tmp_path, caller, callee)
    assert seen.finding is Finding.PATH, seen.reason
    assert path_of(seen) == (kind, protocol, None)
    assert seen.packets == 300
    assert seen.paths[0].caller.translated == (caller != "alice")
    assert seen.paths[0].callee.translated == (callee != "alice")


@pytest.mark.parametrize(
    ("caller", "callee", "legs", "transport"),
    [
        ("carol", "bob", ("udp", "udp"), "udp"),
        ("bob", "dave", ("udp", "tcp"), "mixed"),
        ("erin", "carol", ("tcp", "udp"), "mixed"),
        ("dave", "erin", ("tcp", "tcp"), "tcp"),
    ],
)
@pytest.mark.parametrize("witness", ["relay-1", "core"])
def test_media_in_and_out_of_a_relay_is_relayed_by_its_legs(
    tmp_path: Path, caller: str, callee: str, legs: tuple[str, str], transport: str, witness: str
) -> None:
    world = World()
    relay(world, (caller, 4000), (callee, 5000), START, SECONDS, legs)
    captures = world.captures(tmp_path)
    if witness == "core":
        del captures._captures["relay-1"]
    seen = judge(TOPOLOGY, captures, caller, callee, START, START + SECONDS)
    assert path_of(seen) == ("relayed", transport, "relay-1"), seen.reason
    assert seen.packets == pytest.approx(600, abs=4)


def test_neighbours_in_one_lan_are_direct_without_any_router(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("bella", 5000), START, SECONDS)
    seen = verdict(world, tmp_path, "bob", "bella", extra=("bob", "bella"))
    assert path_of(seen) == ("direct", "udp", None), seen.reason
    assert seen.packets == 300


def test_media_turned_back_by_the_router_of_both_is_punched(tmp_path: Path) -> None:
    world = World()
    aims = [world.outer(name, "udp", port, RELAY) for name, port in (("bob", 4000), ("bella", 5000))]
    for number in range(150):
        world.send(START + number * 0.02, "udp", "bob", 4000, aims[1], world.voice(number))
        world.send(START + number * 0.02, "udp", "bella", 5000, aims[0], world.voice(number))
    seen = verdict(world, tmp_path, "bob", "bella", extra=("bob", "bella"))
    assert path_of(seen) == ("punched", "udp", None), seen.reason


def test_neighbours_that_use_a_relay_are_relayed(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("bella", 5000), START, SECONDS)
    seen = verdict(world, tmp_path, "bob", "bella", extra=("bob", "bella"))
    assert path_of(seen) == ("relayed", "udp", "relay-1"), seen.reason


def test_neighbours_need_their_own_captures(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("bella", 5000), START, SECONDS)
    with pytest.raises(EvidenceError, match="bob was not captured"):
        verdict(world, tmp_path, "bob", "bella")


def test_two_open_sites_are_direct(tmp_path: Path) -> None:
    world = World(profiles={**World().profiles, "flat": "open"})
    talk(world, ("alice", 4000), ("frank", 5000), START, SECONDS)
    assert path_of(verdict(world, tmp_path, "alice", "frank")) == ("direct", "udp", None)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("length", [0.4, 1.0])
def test_short_windows_and_a_loss_of_thirty_percent_are_still_a_path(tmp_path: Path, seed: int, length: float) -> None:
    world = World(seed=seed)
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS, loss=0.3)
    relay(world, ("carol", 4100), ("alice", 5100), START, SECONDS, loss=0.3)
    captures = world.captures(tmp_path)
    for begin in (0.0, 0.83, 2.0):
        start = START + begin
        seen = judge(TOPOLOGY, captures, "bob", "frank", start, start + length)
        assert path_of(seen) == ("punched", "udp", None), seen.reason
        seen = judge(TOPOLOGY, captures, "carol", "alice", start, start + length)
        assert path_of(seen) == ("relayed", "udp", "relay-1"), seen.reason


def test_retransmitted_and_coalesced_tcp_is_counted_once(tmp_path: Path) -> None:
    world = World()
    aim = (address("alice"), 5000)
    back = world.outer("dave", "tcp", 4000, aim)
    held = b""
    first = None
    for number in range(150):
        time = START + number * 0.02
        world.send(time, "tcp", "alice", 5000, back, b"\0\x50" + world.random.randbytes(80))
        held += b"\0\x50" + world.random.randbytes(80)
        if number % 10 in (3, 4, 5):  # waits for a segment that was lost: three frames leave as one
            continue
        seq = world.send(time, "tcp", "dave", 4000, aim, held)
        if number % 10 == 6:
            world.send(time + 0.004, "tcp", "dave", 4000, aim, held, seq=seq)
        first, held = first or seq, b""
    seen = verdict(world, tmp_path, "dave", "alice")
    assert path_of(seen) == ("direct", "tcp", None), seen.reason
    assert seen.packets == 150 + 105


def test_signalling_checks_and_keepalives_are_no_media(tmp_path: Path) -> None:
    world = World()
    for client in ("bob", "frank"):
        signalling(world, client, START, 6.0)
        out = world.outer(client, "udp", 4000, RELAY)
        for number in range(12):
            world.send(START + number * 0.5, "udp", client, 4000, RELAY, world.random.randbytes(40))
            world.send(START + number * 0.5, "udp", "relay-1", RELAY[1], out, world.random.randbytes(40))
    checks(world, ("bob", 4000), ("frank", 5000), START, 6.0)
    seen = verdict(world, tmp_path, "bob", "frank", end=6.0)
    assert seen.finding is Finding.NO_MEDIA
    assert path_of(seen) == (None, None, None)
    assert seen.reason == "no media between bob and frank"


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_media_one_way_is_said_to_be_one_way(tmp_path: Path, protocol: str) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS, protocol, back=False)
    seen = verdict(world, tmp_path, "bob", "frank")
    assert seen.finding is Finding.ONE_WAY
    assert seen.kind is None
    assert seen.reason == f"media on punched/{protocol} from bob to frank only"


def test_media_that_stops_one_way_is_one_way(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 1.0)
    talk(world, ("bob", 4000), ("frank", 5000), START + 1, 2.0, there=False)
    seen = verdict(world, tmp_path, "bob", "frank")
    assert seen.reason == "media on punched/udp from frank to bob only"


def test_media_that_never_arrives_is_no_path_and_is_named(tmp_path: Path) -> None:
    world = World()
    for number in range(150):
        world.send(START + number * 0.02, "udp", "bob", 4000, ("203.0.113.34", 777), world.voice(number))
    talk(world, ("carol", 1), ("alice", 1), START, 0.1)  # so that the office's capture is not empty
    seen = verdict(world, tmp_path, "bob", "carol")
    assert seen.finding is Finding.NO_MEDIA
    assert "150 media packets of bob with 203.0.113.34:777 by UDP never reached the other end" in seen.reason


def test_media_on_two_paths_at_once_is_a_finding(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    relay(world, ("bob", 4001), ("frank", 5001), START + 1, 1.0)
    seen = verdict(world, tmp_path, "bob", "frank")
    assert seen.finding is Finding.TWO_PATHS
    assert seen.kind is None
    assert "punched/udp" in seen.reason and "relayed/udp via relay-1" in seen.reason


def test_the_same_packets_on_two_paths_at_once_are_two_paths(tmp_path: Path) -> None:
    world = World()
    aim = world.outer("frank", "udp", 5000, RELAY)
    back = world.outer("bob", "udp", 4000, RELAY)
    for number in range(150):
        time, there, here = START + number * 0.02, world.voice(number), world.voice(number)
        world.send(time, "udp", "bob", 4000, aim, there)
        world.send(time, "udp", "bob", 4000, RELAY, there)
        world.send(time + 0.001, "udp", "relay-1", RELAY[1], aim, there)
        world.send(time, "udp", "frank", 5000, back, here)
        world.send(time, "udp", "frank", 5000, RELAY, here)
        world.send(time + 0.001, "udp", "relay-1", RELAY[1], back, here)
    seen = verdict(world, tmp_path, "bob", "frank")
    assert seen.finding is Finding.TWO_PATHS
    assert {str(path) for path in seen.paths} == {"punched/udp", "relayed/udp via relay-1"}


def test_each_way_on_a_path_of_its_own_is_two_paths(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS, back=False)
    out = world.outer("bob", "udp", 4001, RELAY)
    world.outer("frank", "udp", 5001, RELAY)
    for number in range(150):
        payload = world.voice(number)
        world.send(START + number * 0.02, "udp", "frank", 5001, RELAY, payload)
        world.send(START + number * 0.02 + 0.001, "udp", "relay-1", RELAY[1], out, payload)
    assert verdict(world, tmp_path, "bob", "frank").finding is Finding.TWO_PATHS


def test_media_at_a_relay_beside_a_direct_path_is_a_finding(tmp_path: Path) -> None:
    world = World()
    talk(world, ("alice", 4000), ("bob", 5000), START, SECONDS)
    relay(world, ("alice", 4000), ("bob", 5000), START, 0.5, deliver=False)
    seen = verdict(world, tmp_path, "alice", "bob")
    assert seen.finding is Finding.AT_RELAY
    assert "relay-1" in seen.reason and "beside direct/udp" in seen.reason


def test_a_move_in_the_window_names_the_later_path(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START, 1.5)
    talk(world, ("bob", 4000), ("frank", 5000), START + 1.5, 1.5)
    seen = verdict(world, tmp_path, "bob", "frank")
    assert seen.finding is Finding.MOVED
    assert path_of(seen) == ("punched", "udp", None)
    assert seen.reason.endswith("before that relayed/udp via relay-1")


def test_media_that_comes_back_to_a_path_is_on_that_path(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START, 1.0)
    talk(world, ("bob", 4000), ("frank", 5000), START + 1, 1.0)
    relay(world, ("bob", 4000), ("frank", 5000), START + 2, 1.0)
    seen = verdict(world, tmp_path, "bob", "frank")
    assert (seen.finding, seen.kind) == (Finding.MOVED, "relayed")


def test_silence_that_is_not_encrypted_is_joined_by_whole_packets(tmp_path: Path) -> None:
    world = World()
    voice = [world.voice(number)[:12] + b"\xff" * 160 for number in range(300)]
    for number in range(150):
        world.send(START + number * 0.02, "udp", "bob", 4000, (address("alice"), 5000), voice[2 * number])
        world.send(START + number * 0.02, "udp", "alice", 5000, ("203.0.113.32", 4000), voice[2 * number + 1])
    assert path_of(verdict(world, tmp_path, "bob", "alice")) == ("direct", "udp", None)


@pytest.mark.slow
def test_other_calls_in_the_same_captures_change_nothing(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    relay(world, ("bella", 4000), ("carol", 5000), START, SECONDS)  # another client of the same site, at a relay
    relay(world, ("dave", 4000), ("erin", 5000), START, SECONDS, ("tcp", "tcp"))
    talk(world, ("alice", 4000), ("adam", 5000), START, SECONDS)
    captures = world.captures(tmp_path)
    for pair, path in {
        ("bob", "frank"): ("punched", "udp", None),
        ("carol", "bella"): ("relayed", "udp", "relay-1"),
        ("erin", "dave"): ("relayed", "tcp", "relay-1"),
    }.items():
        seen = judge(TOPOLOGY, captures, *pair, START, START + SECONDS)
        assert path_of(seen) == path, seen.reason
    assert judge(TOPOLOGY, captures, "bob", "carol", START, START + SECONDS).finding is Finding.NO_MEDIA
    assert judge(TOPOLOGY, captures, "bella", "dave", START, START + SECONDS).finding is Finding.NO_MEDIA


def test_another_call_of_the_same_client_is_not_this_one(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    relay(world, ("bob", 4100), ("carol", 5000), START, SECONDS)
    captures = world.captures(tmp_path)
    assert path_of(judge(TOPOLOGY, captures, "bob", "frank", START, START + SECONDS)) == ("punched", "udp", None)
    assert path_of(judge(TOPOLOGY, captures, "bob", "carol", START, START + SECONDS))[0] == "relayed"


def test_legs_that_hide_their_content_are_joined_when_the_relay_carries_no_others(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("dave", 5000), START, SECONDS, ("udp", "tcp"), wrapped=True)
    seen = verdict(world, tmp_path, "bob", "dave")
    assert path_of(seen) == ("relayed", "mixed", "relay-1"), seen.reason
    assert seen.packets == pytest.approx(600, abs=4)


def test_legs_whose_sizes_say_nothing_are_not_guessed_among_many(tmp_path: Path) -> None:
    world = World(sizes=range(80, 81))
    relay(world, ("bob", 4000), ("dave", 5000), START, SECONDS, ("udp", "tcp"), wrapped=True)
    alone = verdict(world, tmp_path, "bob", "dave")
    assert path_of(alone) == ("relayed", "mixed", "relay-1"), alone.reason
    relay(world, ("frank", 4000), ("erin", 5000), START, SECONDS, ("udp", "tcp"), wrapped=True)
    assert verdict(world, tmp_path, "bob", "dave").finding is Finding.AT_RELAY


def test_a_proxy_of_the_site_counts_as_its_router(tmp_path: Path) -> None:
    world = World()
    proxy, wan = ("192.168.35.1", 3128), ("203.0.113.35", 45000)
    for number in range(150):
        time = START + number * 0.02
        for payload, outward in ((world.random.randbytes(90), True), (world.random.randbytes(90), False)):
            seq = 7000 + number * 90
            inner = (("192.168.35.2", 4000), proxy) if outward else (proxy, ("192.168.35.2", 4000))
            outer = (wan, (address("alice"), 443)) if outward else ((address("alice"), 443), wan)
            kinds = (IN, OUT) if outward else (OUT, IN)
            world.see("hotel-router", time + 0.001, frame("tcp", *inner, payload, kinds[0], seq))
            world.see("hotel-router", time + 0.002, frame("tcp", *outer, payload, kinds[1], seq + 999))
            world.see("core", time + 0.0015, frame("tcp", *outer, payload, IN, seq + 999))
            for kind in (IN, OUT):
                world.see("park-router", time + 0.003, frame("tcp", *outer, payload, kind, seq + 999))
    assert path_of(verdict(world, tmp_path, "dave", "alice")) == ("direct", "tcp", None)


def test_a_supernode_between_two_calls_carries_no_media(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START, SECONDS, ("tcp", "tcp"), at=("203.0.113.11", 33033))
    seen = verdict(world, tmp_path, "bob", "frank")
    assert path_of(seen) == ("relayed", "tcp", "supernode-1")  # named for what it did: no client may claim that


@pytest.mark.parametrize("place", ["core", "home-router", "flat-router"])
def test_an_empty_capture_of_a_place_on_the_way_is_an_error(tmp_path: Path, place: str) -> None:
    world = World(mute={place})
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    with pytest.raises(EvidenceError, match=f"capture of {place} is empty"):
        verdict(world, tmp_path, "bob", "frank")


def test_an_empty_capture_of_the_relay_is_an_error_when_media_passed_it(tmp_path: Path) -> None:
    world = World(mute={"relay-1"})
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS)
    with pytest.raises(EvidenceError, match="capture of relay-1 is empty"):
        verdict(world, tmp_path, "bob", "carol")


def test_an_idle_relay_is_no_witness_of_a_direct_call(tmp_path: Path) -> None:
    world = World(mute={"relay-1"})
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    assert verdict(world, tmp_path, "bob", "frank").kind == "punched"


@pytest.mark.parametrize("place", ["core", "relay-1"])
def test_a_place_that_missed_what_it_must_have_seen_is_an_error(tmp_path: Path, place: str) -> None:
    world = World(mute={place})
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS)
    world.mute.clear()
    talk(world, ("alice", 4000), ("dave", 5000), START, 0.1, "tcp")
    checks(world, ("alice", 4000), ("bob", 5000), START, 0.1)
    relay(world, ("frank", 4000), ("erin", 5000), START, 0.1)
    with pytest.raises(EvidenceError, match=f"{place} saw none of the UDP media"):
        verdict(world, tmp_path, "bob", "carol")


def test_a_router_captured_on_one_side_only_is_an_error(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    lan = bytes(map(int, address("bob").split(".")))
    world.frames["home-router"] = [(time, data) for time, data in world.frames["home-router"] if lan in data[:40]]
    with pytest.raises(EvidenceError, match=r"home-router shows UDP media .* on one side only"):
        verdict(world, tmp_path, "bob", "frank")


def test_what_the_captures_lost_is_carried_into_the_verdict(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    assert verdict(world, tmp_path, "bob", "frank", dropped={"core": 7, "relay-1": 0}).dropped == {"core": 7}


def test_a_node_that_is_not_in_the_topology_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody"):
        verdict(World(), tmp_path, "bob", "nobody")
