"""Frames that an end says it has sent and heard, beside packets: the bounds, and where nothing can be compared."""

from pathlib import Path

import pytest
from packet_world import RELAY, START, TOPOLOGY, World, framed, relay, talk, write_pcap

from lab.evidence import Captures, Claim
from lab.evidence.counters import Compared
from lab.evidence.frames import Counted, frames
from lab.evidence.paths import survey

SECONDS = 2.5
UNTIL = START + SECONDS + 0.1


def claims(kind: str, transport: str, via: str | None = None) -> list[Claim]:
    return [Claim(START, START + SECONDS, kind, transport, via)]


PUNCHED = claims("punched", "udp")


def held(captures: Captures, counted: Counted, claimed: list[Claim] = PUNCHED, peer: str = "frank") -> Compared | None:
    scene = survey(TOPOLOGY, captures, "bob", peer, START - 0.1, counted.until)
    return frames(TOPOLOGY, captures, scene, counted, claimed, START - 0.1)


def agrees(captures: Captures, counted: Counted, claimed: list[Claim] = PUNCHED, peer: str = "frank") -> bool:
    compared = held(captures, counted, claimed, peer)
    assert compared is not None
    return compared.agrees


def bob(sent: int = 125, heard: int = 125, lost: int = 0, *, until: float = UNTIL, astray: float = 0.0) -> Counted:
    return Counted("bob", sent, heard, lost, START, until, astray)


@pytest.fixture
def world() -> World:
    """One in which bob and frank talk for 125 frames, of which 80 come more than a second before the last word."""
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    return world


@pytest.mark.parametrize("name", ["bob", "frank"])
@pytest.mark.parametrize(
    ("sent", "heard", "lost", "agree"),
    [
        (125, 125, 0, True),
        (80, 125, 0, True),
        (79, 125, 0, False),
        (170, 125, 0, True),
        (171, 125, 0, False),
        (125, 170, 0, True),
        (125, 171, 0, False),
        (125, 44, 0, True),
        (125, 43, 0, False),
        (125, 0, 44, True),
        (125, 20, 23, False),
        (0, 0, 0, False),
    ],
)
def test_a_count_is_held_against_the_packets_of_its_end(
    world: World, tmp_path: Path, name: str, sent: int, heard: int, lost: int, agree: bool
) -> None:
    captures = world.captures(tmp_path)
    assert agrees(captures, Counted(name, sent, heard, lost, START, UNTIL)) is agree


def test_an_end_that_heard_what_never_came_to_it_does_not_agree(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS, back=False)
    talk(world, ("bob", 4000), ("frank", 5000), START, 0.4, there=False)
    compared = held(world.captures(tmp_path), bob(heard=150))
    said = "sent 125 frames and heard 150, where 125 packets of voice left it and 20 came to it"
    assert compared == Compared(said, False)
    assert agrees(world.captures(tmp_path), bob(heard=20))


def test_what_is_lost_on_the_way_counts_for_who_sent_it_and_not_for_who_did_not_hear_it(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS, loss=0.5)
    captures = world.captures(tmp_path)
    assert agrees(captures, bob(heard=60, lost=65)) and agrees(captures, bob(heard=60))
    assert not agrees(captures, bob(heard=125)) and not agrees(captures, bob(sent=60, heard=60))


@pytest.mark.parametrize(("lossy", "sent", "agree"), [("home-router", 200, True), ("home-router", 201, False)])
def test_packets_that_the_capture_of_its_end_lost_may_have_been_its_own(
    world: World, tmp_path: Path, lossy: str, sent: int, agree: bool
) -> None:
    captures = world.captures(tmp_path, dropped={lossy: 30})
    assert agrees(captures, bob(sent=sent)) is agree and agrees(captures, bob(heard=sent)) is agree
    assert not agrees(captures, bob(sent=79)), "fewer than were seen are too few, whatever was not"


def test_what_another_capture_lost_is_no_excuse(world: World, tmp_path: Path) -> None:
    captures = world.captures(tmp_path, dropped={"core": 300, "flat-router": 300})
    assert not agrees(captures, bob(sent=171))


def test_a_capture_that_is_cut_short_cannot_tell(world: World, tmp_path: Path) -> None:
    world.captures(tmp_path)
    file = tmp_path / "home-router.pcap"
    file.write_bytes(file.read_bytes()[:-5])
    captures = Captures.read({one.stem: one for one in tmp_path.glob("*.pcap")})
    assert held(captures, bob(sent=1000)) is None
    assert not agrees(captures, Counted("frank", 1000, 125, 0, START, UNTIL)), "the other end's is whole"


def test_what_was_said_without_a_path_left_nobody(world: World, tmp_path: Path) -> None:
    captures = world.captures(tmp_path)
    assert agrees(captures, bob(sent=220, astray=1.0)) and not agrees(captures, bob(sent=221, astray=1.0))


def test_frames_of_every_path_that_a_call_took_count(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START, 1.5)
    talk(world, ("bob", 4000), ("frank", 5000), START + 1.5, 2.0)
    captures, until = world.captures(tmp_path), START + 3.6
    claimed = [*claims("relayed", "udp", "relay-1"), *PUNCHED]
    for sent, agree in ((175, True), (120, True), (119, False), (230, True), (231, False)):
        assert agrees(captures, bob(sent, 175, until=until), claimed) is agree, sent


def test_packets_that_came_twice_need_not_be_heard_twice(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    for place, seen in world.frames.items():
        world.frames[place] = [frame for time, data in seen for frame in ((time, data), (time + 0.001, data))]
    captures = world.captures(tmp_path)
    assert agrees(captures, bob()) and agrees(captures, bob(80, 44)) and not agrees(captures, bob(79, 125))


def test_what_came_before_the_first_path_may_have_been_dropped_and_may_have_been_heard(
    world: World, tmp_path: Path
) -> None:
    captures = world.captures(tmp_path)
    late = START + 1.5
    assert agrees(captures, Counted("bob", 50, 50, 0, late, UNTIL))
    assert agrees(captures, Counted("bob", 50, 125, 0, late, UNTIL))


def test_neighbours_are_held_against_their_own_captures(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("bella", 5000), START, SECONDS)
    captures, claimed = world.captures(tmp_path, ("bob", "bella")), claims("direct", "udp")
    for name in ("bob", "bella"):
        assert agrees(captures, Counted(name, 125, 125, 0, START, UNTIL), claimed, "bella")
        assert not agrees(captures, Counted(name, 125, 171, 0, START, UNTIL), claimed, "bella")


@pytest.mark.parametrize("wrapped", [True, False])
def test_of_a_relay_s_two_legs_the_one_by_udp_is_compared(tmp_path: Path, wrapped: bool) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START, SECONDS, ("udp", "tcp"), wrapped=wrapped)
    captures, claimed = world.captures(tmp_path), claims("relayed", "mixed", "relay-1")
    assert held(captures, Counted("frank", 999, 999, 0, START, UNTIL), claimed) is None
    for heard, agree in ((125, True), (171, False)):
        compared = held(captures, bob(heard=heard), claimed)
        assert compared is not None and compared.agrees is agree


def test_of_tcp_nothing_is_compared(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("alice", 5000), START, SECONDS, "tcp")
    assert held(world.captures(tmp_path), bob(999, 999), claims("direct", "tcp"), "alice") is None


def test_a_part_by_tcp_that_left_no_packets_to_be_joined_may_have_held_any_number(world: World, tmp_path: Path) -> None:
    captures = world.captures(tmp_path)
    for claimed in (claims("relayed", "mixed", "relay-1"), claims("punched", "tcp")):
        assert held(captures, bob(sent=999), [*PUNCHED, *claimed]) is None


def test_voice_by_tcp_that_never_reached_the_other_end_was_counted(world: World, tmp_path: Path) -> None:
    for number in range(100):
        world.send(START + number / 50, "tcp", "bob", 4001, RELAY, framed(world.voice(number)))
    assert held(world.captures(tmp_path), bob(sent=225)) is None


def test_without_a_path_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    files = {place: write_pcap(tmp_path / f"{place}.pcap", frames) for place, frames in _silence().frames.items()}
    assert held(Captures.read(files), bob()) is None


def _silence() -> World:
    """Nothing but one packet each way, which every place on the way sees."""
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 0.02)
    return world
