"""Captures at many nodes at once: what is shown and what is written, with captures that play a call back."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, cast

import pytest
from lab_calls import files, punched, setting
from packet_world import START, TOPOLOGY

from lab.errors import ConfigError, NotNow, RuntimeUnavailable
from lab.evidence import filed, pcapng, read
from lab.evidence.pcap import Endpoint
from lab.evidence.pcapng import Interface, PacketRecord
from lab.harness import Lab, capturing
from lab.harness.beside import Calling
from lab.harness.blocking import Remembered
from lab.harness.capturing import Capturing, Watched, chosen
from lab.harness.events import CallEvent
from lab.harness.kept import Kept
from lab.harness.keys import FILE as KEYS
from lab.harness.passing import Row
from lab.runtime.capture import Captured
from lab.runtime.connection import Engine
from lab.runtime.world import Container, World

NODES = ("home-router", "core", "flat-router", "relay-1")
ENGINE = cast(Engine, None)


@dataclass
class Playback:
    """A capture that has all that a call's had, at once."""

    recorded: dict[str, bytes]
    made: list["Playback.One"] = field(default_factory=list)

    class One:
        def __init__(self, data: bytes, node: str, file: Path, options: dict[str, Any]) -> None:
            self.node, self.file, self.options = node, file, options
            self.lives, self.stopped, self.closed = 1, False, 0
            self.trouble: str | None = None
            file.write_bytes(data)
            for at in range(0, len(data), 1000):
                options["heard"](data[at : at + 1000])

        def barrier(self) -> None:
            assert not self.closed

        def close(self) -> Captured:
            self.closed += 1
            return Captured(self.node, self.file, 7, 3 if self.node == "core" else 0)

    def __call__(self, engine: object, container: str, node: str, file: Path, **options: Any) -> "Playback.One":
        self.made.append(Playback.One(self.recorded[node], node, file, options))
        return self.made[-1]

    def of(self, node: str) -> "Playback.One":
        return next(one for one in self.made if one.node == node)


@pytest.fixture
def world() -> World:
    running = {node.name: Container(node.name, node.name, "running") for node in TOPOLOGY.nodes}
    return World("lab", TOPOLOGY, running, None)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Playback]:
    call, _ = punched()
    (tmp_path / "made").mkdir()
    pcaps = files(call, tmp_path / "made")
    playback = Playback({node: pcaps[node].read_bytes() for node in pcaps})
    monkeypatch.setattr(capturing, "Capture", playback)
    monkeypatch.setattr(capturing, "check", lambda engine, container, expression: None)
    yield playback
    assert all(one.closed for one in playback.made)


Opened = Callable[..., Capturing]


@pytest.fixture
def opened(tmp_path: Path, world: World, played: Playback) -> Iterator[Opened]:
    sessions: list[Capturing] = []

    def open_(names: tuple[str, ...] = NODES, **options: Any) -> Capturing:
        rules = options.pop("rules", None)
        options_ = {"mapped": options.pop("mapped")} if "mapped" in options else {}
        watched = Watched(chosen(world, names), **options)
        stands = options.pop("stands", lambda: (TOPOLOGY, frozenset()))
        around = tmp_path / "state", stands, tmp_path / "timeline", rules
        sessions.append(Capturing(ENGINE, world, watched, *around, **options_))
        return sessions[-1]

    yield open_
    for session in sessions:
        session.close()


def until_quiet(session: Capturing) -> list[Row]:
    now = time.monotonic()
    return [*session.poll(now), *session.poll(now + 1), *session.poll(now + 2)]


def packets(file: Path) -> int:
    return sum(isinstance(block, PacketRecord) for _, block in pcapng.blocks(file.read_bytes()))


def said(file: Path) -> list[str]:
    """The comments of its packets, by time."""
    found = [block for _, block in pcapng.blocks(file.read_bytes()) if isinstance(block, PacketRecord)]
    return [text for block in found for text in block.comments]


def test_a_calls_packets_are_rows_by_time_and_its_events_are_marked(opened: Opened) -> None:
    found = until_quiet(opened())
    assert [row.at for row in found] == sorted(row.at for row in found)
    dropped = [row for row in found if row.fate == "dropped"]
    assert [(row.place, row.what) for row in dropped] == [("home wan", "STUN check")]
    events = [row.event for row in found if row.event]
    assert events[0] == "first check of frank" and {*events[-2:]} == {"first voice of bob", "first voice of frank"}
    assert {"first through to frank", "nominated by bob"} <= set(events)


def test_what_is_written_has_every_place_in_order_and_is_nobodys_call(opened: Opened, tmp_path: Path) -> None:
    session, target = opened(), tmp_path / "all.pcapng"
    written = session.write(target)
    blocks = [block for _, block in pcapng.blocks(target.read_bytes())]
    names = [block.name for block in blocks if isinstance(block, Interface)]
    assert names == ["home lan", "home wan", "core", "flat lan", "flat wan", "relay-1"]
    times = [block.ticks for block in blocks if isinstance(block, PacketRecord)]
    assert len(times) == written and times == sorted(times)
    with pytest.raises(ConfigError, match="it is of no call"):
        filed.verdict(target)
    told = [row.event for row in until_quiet(session) if row.event]
    assert sorted(said(target)) == sorted(told) and len(told) == 6


def test_a_capture_that_goes_on_lacks_nothing_and_one_that_has_ended_in_mid_packet_does(
    opened: Opened, played: Playback, tmp_path: Path
) -> None:
    played.recorded["core"] = played.recorded["core"][:-1]
    session, target = opened(), tmp_path / "all.pcapng"
    session.write(target)
    assert filed.verdict(target, ("bob", "frank", None)).observed.kind == "punched"
    session.close()
    session.write(target)
    with pytest.raises(ConfigError, match="the capture of core ends in mid-packet: what is there shows punched/udp"):
        filed.verdict(target, ("bob", "frank", None))


def test_a_calls_file_is_judged_as_that_of_the_call_and_has_other_nodes_too(
    opened: Opened, played: Playback, tmp_path: Path
) -> None:
    played.recorded["office-router"] = played.recorded["core"][:24]
    session, target = opened((*NODES, "office-router")), tmp_path / "call.pcapng"
    _, lines = punched()
    session.close()
    written = session.write(target, Kept(tmp_path, setting(), tuple(lines), {}))
    found = filed.verdict(target)
    assert found.call == setting().call and str(found.observed.kind) == "punched"
    data = target.read_bytes()
    assert b"office lan" in data and written == packets(target)
    assert b"first packet through" in data and b"first voice of bob" in data
    lost = [block for _, block in pcapng.blocks(data) if isinstance(block, pcapng.Lost)]
    assert [one.packets for one in lost] == [3]


def test_a_calls_file_has_the_keys_that_are_kept_of_it(opened: Opened, tmp_path: Path) -> None:
    session, target, folder = opened(), tmp_path / "call.pcapng", tmp_path / "c1"
    folder.mkdir()
    (folder / KEYS).write_text("CLIENT_TRAFFIC_SECRET_0 07 aa\n")
    session.close()
    session.write(target, Kept(folder, setting(), (), {}))
    assert b"CLIENT_TRAFFIC_SECRET_0 07 aa" in target.read_bytes()


@pytest.mark.parametrize("told", [True, False])
def test_a_file_grows_while_packets_come_and_a_pipe_has_the_same(opened: Opened, tmp_path: Path, told: bool) -> None:
    """With what each is in a call, which is known a moment later."""
    piped: list[bytes] = []
    target = tmp_path / "all.pcapng"
    session = opened(file=target, pipe=piped.append, told=told)
    rows = until_quiet(session)
    grown = target.read_bytes()
    assert grown == b"".join(piped) and packets(target) == session.write(tmp_path / "now.pcapng") > 100
    marked = sorted(row.event for row in rows if row.event)
    assert sorted(said(target)) == marked == sorted(said(tmp_path / "now.pcapng"))  # two are of one microsecond
    assert {"first check of frank", "first voice of bob"} <= set(said(target))


@pytest.mark.parametrize("at_once", [1 << 20, 8000])
def test_a_full_disk_ends_it_with_one_sentence(opened: Opened, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr("lab.evidence.whole.CHUNK", at_once)
    session = opened(file=Path("/dev/full"))
    with pytest.raises(RuntimeUnavailable, match="/dev/full is not whole: No space left on device; what it holds"):
        until_quiet(session)
    assert session.full
    assert len(session.finish()) == len(NODES)
    assert session.rest()  # what was heard is still told, and nothing more is written


class Filling:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file: Path, room: int) -> None:
        self._file, self._room = file.open("wb", buffering=0), room

    def write(self, data: memoryview) -> int:
        fits = min(len(data), self._room - self._file.tell())
        if fits <= 0:
            raise OSError(28, "No space left on device")
        return self._file.write(data[:fits])

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def close(self) -> None:
        self._file.close()


def test_what_a_full_disk_had_room_for_in_mid_capture_is_readable(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "all.pcapng"
    monkeypatch.setattr(capturing, "_Output", lambda file: Filling(file, 30_000))
    session = opened(file=target)
    with pytest.raises(RuntimeUnavailable, match="is not whole: No space left on device; what it holds so far can be"):
        until_quiet(session)
    session.finish()
    assert session.full and 29_000 < target.stat().st_size <= 30_000
    assert packets(target) > 100, "every block of it is whole"
    assert session.write(tmp_path / "elsewhere.pcapng") > packets(target), "the captures themselves have the rest"


def test_the_packets_of_a_node_that_was_restarted_go_on_in_the_same_file(
    opened: Opened, played: Playback, tmp_path: Path
) -> None:
    target = tmp_path / "all.pcapng"
    session, home = opened(file=target), played.of("home-router")
    until_quiet(session)
    before, records = packets(target), played.recorded["home-router"][24:]
    home.options["heard"](records[:50])  # torn by the restart
    home.options["heard"](None)
    home.options["heard"](records)
    now = time.monotonic() + 10
    rows = [*session.poll(now), *session.poll(now + 1), *session.poll(now + 5)]
    assert any(row.place == "home lan" for row in rows)
    assert packets(target) - before == len(read(home.file, "home-router").packets)


def test_a_capture_that_fails_is_told_with_where_all_of_them_are(opened: Opened, played: Playback) -> None:
    session = opened()
    played.of("core").trouble = "the capture at core ended early: x.pcap cannot be written: No space left on device"
    with pytest.raises(
        RuntimeUnavailable, match=f"No space left on device; what was captured so far is in {session.folder}"
    ):
        session.poll(0.0)


@pytest.mark.parametrize("told", [True, False])
def test_a_folder_of_which_somebody_was_told_outlives_its_owner_and_another_does_not(
    opened: Opened, played: Playback, tmp_path: Path, told: bool
) -> None:
    session = opened()
    if told:
        with pytest.raises(RuntimeUnavailable, match=f"the captures themselves are in {session.folder}"):
            session.write(Path("/dev/full"))
    session.close()
    session._scratch._lock.close()  # as where its owner is gone
    opened()
    assert session.folder.exists() is told


def test_a_node_that_stops_and_runs_again_is_told_of(opened: Opened, played: Playback) -> None:
    session, home = opened(), played.of("home-router")
    until_quiet(session)
    now = time.monotonic() + 10
    home.stopped = True
    session.poll(now)
    home.stopped, home.lives = False, 2
    home.options["heard"](None)
    session.poll(now)
    assert [row.what for row in session.poll(now + 1)] == [
        "home-router has stopped: its capture begins again when it runs",
        "home-router was restarted: its capture has begun again",
    ]


def test_when_the_lab_is_changed_names_and_rules_are_asked_for_anew(
    world: World, played: Playback, tmp_path: Path
) -> None:
    asked = threading.Semaphore(0)

    def stands() -> Any:
        asked.release()
        return TOPOLOGY, frozenset()

    watched = Watched(chosen(world, ("core",)))
    session = Capturing(ENGINE, world, watched, tmp_path / "state", stands, tmp_path / "timeline")
    try:
        assert asked.acquire(timeout=1)
        session.poll(100.0)
        (tmp_path / "timeline").write_text("{}")
        session.poll(102.0)
        assert asked.acquire(timeout=5)
        session.poll(104.0)
        session.poll(106.0)
        assert not asked.acquire(blocking=False)
    finally:
        session.close()


def test_what_went_no_further_is_told_by_the_rules_that_counted_it(opened: Opened, played: Playback) -> None:
    asked: list[str] = []

    def rules(router: str) -> dict[str, int]:
        assert bool(played.made) is (len(asked) >= 2), (
            "first before any packet is seen: no drop is seen and not counted"
        )
        asked.append(router)
        return {"INPUT's policy": 5 if len(asked) > 2 and router == "home-router" else 4}

    session = opened(rules=rules)
    rows = until_quiet(session)
    session.finish()
    session.rest()
    assert sum(row.fate == "dropped" for row in rows) == 1
    assert [str(one) for one in session.drops] == ["home-router dropped 1 packet: 1 by INPUT's policy (counted)"]
    assert sorted(asked) == sorted(["home-router", "flat-router"] * 2)


def test_routers_are_asked_what_they_have_in_mind_once_they_are_captured_and_where_rows_are_wanted(
    opened: Opened, played: Playback
) -> None:
    asked: list[tuple[list[str], int]] = []

    def mapped(routers: Iterable[str]) -> dict[str, Remembered]:
        asked.append((list(routers), len(played.made)))
        return {"home-router": Remembered(START - 1, (("udp", Endpoint("203.0.113.32", 4000), None, inf),))}

    rows = until_quiet(opened(mapped=mapped))
    assert asked == [(["home-router", "flat-router"], 4)]
    assert "dropped: not asked for" in [row.became for row in rows]  # bob's own check is later
    opened(told=False, mapped=mapped)
    assert len(asked) == 1


def test_rings_filters_and_core_are_as_in_a_call(opened: Opened, played: Playback) -> None:
    opened(expression="udp")
    core, home = played.of("core").options, played.of("home-router").options
    assert core["incoming"] and not home["incoming"] and (core["ring"], home["ring"]) == (8192, 2048)
    assert core["expression"] == home["expression"] == "udp" and not core["buffered"]
    opened(told=False)
    assert played.made[-1].options["buffered"]


def test_the_filter_stands_in_the_document_of_every_file(opened: Opened, tmp_path: Path) -> None:
    piped: list[bytes] = []
    session = opened(expression="udp and host bob", file=tmp_path / "grown.pcapng", pipe=piped.append)
    until_quiet(session)
    session.close()
    session.write(tmp_path / "none.pcapng")
    session.write(tmp_path / "call.pcapng", Kept(tmp_path, setting(), (), {}))
    written = [(tmp_path / f"{name}.pcapng").read_bytes() for name in ("grown", "none", "call")]
    for data in (*written, b"".join(piped)):
        section = next(block for _, block in pcapng.blocks(data) if isinstance(block, pcapng.Section))
        people, about = section.comments
        assert json.loads(about)["filter"] == "udp and host bob" and people.endswith("by the filter 'udp and host bob'")


def test_a_filter_that_is_none_is_refused_before_anything_starts(
    opened: Opened, played: Playback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(capturing, "check", lambda engine, container, expression: "syntax error")
    with pytest.raises(ConfigError, match=r"the filter 'udp prt' is none that tcpdump understands: syntax error"):
        opened(expression="udp prt", file=tmp_path / "all.pcapng")
    assert not played.made and not (tmp_path / "state").exists() and not (tmp_path / "all.pcapng").exists()


@pytest.mark.parametrize(("asked", "given"), [(" ", ""), (" udp\n", "udp"), ("", "")])
def test_blanks_are_no_filter(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, given: str
) -> None:
    watched: list[Watched] = []
    monkeypatch.setattr("lab.harness.lab.connect", lambda: ENGINE)
    monkeypatch.setattr(Lab, "running_world", lambda self: world)
    monkeypatch.setattr(capturing, "Capturing", lambda engine, world, one, *rest: watched.append(one))
    Lab(tmp_path).capture(("core",), expression=asked)
    assert [one.expression for one in watched] == [given]


def test_a_filter_is_tried_with_the_addresses_that_it_has_where_it_is_tried(
    opened: Opened, played: Playback, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, str]] = []
    monkeypatch.setattr(capturing, "check", lambda engine, container, expression: tried.append((container, expression)))
    opened(("home-router", "core"), expression="host bob")
    assert tried == [("home-router", played.of("home-router").options["expression"])]
    assert played.of("home-router").options["expression"] != played.of("core").options["expression"]


BOB, FRANK = "192.168.32.2 or 203.0.113.32 or 192.168.32.1", "192.168.33.2 or 203.0.113.33 or 192.168.33.1"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("host bob", f"host ({BOB})"),
        ("udp and (src bob or dst frank)", f"udp and (src ({BOB}) or dst ({FRANK}))"),
        ("host home-router", "host (203.0.113.32 or 192.168.32.1)"),
        ("host supernode-1", "host 203.0.113.11"),
        ("udp port 33034", "udp port 33034"),
        ("bob", "bob"),
    ],
)
def test_nodes_have_their_names_in_a_filter(asked: str, given: str) -> None:
    assert capturing.addressed(asked, TOPOLOGY) == given


@pytest.mark.parametrize("name", ["bob", "home-router"])
def test_at_its_own_router_a_name_is_of_all_that_are_seen_under_one_address(name: str) -> None:
    found = capturing.addressed(f"host {name}", TOPOLOGY, TOPOLOGY.node("home-router"))
    assert set(found.removeprefix("host (").removesuffix(")").split(" or ")) == {
        "203.0.113.32", "192.168.32.1", "192.168.32.2", "192.168.32.3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "judged"),
    [
        ("", True),
        ("udp and host bob", True),
        ("not (tcp or host bob)", True),
        ("udp port 33034", False),
        ("host 192.168.32.2", False),
        ("udp and (host bob or port 53)", False),
    ],
)
def test_what_a_router_may_change_is_no_reason_to_call_a_packet_dropped(expression: str, judged: bool) -> None:
    assert capturing.both_sides(expression, TOPOLOGY) is judged


def test_where_a_capture_does_not_start_the_others_end_and_nothing_is_left(
    opened: Opened, played: Playback, tmp_path: Path
) -> None:
    del played.recorded["relay-1"]
    kept, new = tmp_path / "kept.pcapng", tmp_path / "new.pcapng"
    kept.write_bytes(b"of yesterday")
    for target in (None, kept, new):
        with pytest.raises(KeyError):
            opened(file=target)
    assert not list((tmp_path / "state").iterdir())
    assert kept.read_bytes() == b"of yesterday" and not new.exists()


def test_the_nodes_are_those_named_those_of_a_call_or_all_routers_core_and_relays(world: World) -> None:
    names = [node.name for node in chosen(world, ())]
    assert {"core", "home-router", "office-router", "relay-1"} <= set(names) and "bob" not in names
    assert [node.name for node in chosen(world, ("bob", "core", "bob"))] == ["bob", "core"]
    ends = [node.name for node in chosen(world, (), ("bob", "frank"))]
    assert {"core", "home-router", "flat-router", "relay-1"} <= set(ends) and "office-router" not in ends
    with pytest.raises(ConfigError, match="no node is called 'nobody'"):
        chosen(world, ("nobody",))
    stopped = {**world.containers, "core": Container("core", "core", "exited")}
    with pytest.raises(NotNow, match="core is stopped"):
        chosen(World("lab", TOPOLOGY, stopped, None), ("core",))
    assert "core" not in [node.name for node in chosen(World("lab", TOPOLOGY, stopped, None), ())]


def test_a_call_beside_tells_its_events_and_can_be_hung_up() -> None:
    told: list[str] = []
    ringing, hung_up = threading.Event(), threading.Event()

    def place(follow: Callable[[CallEvent], None]) -> Any:
        follow(CallEvent("dialled", "c1", "bob", START))
        follow(CallEvent("progress", "c1", "bob", START))
        ringing.set()
        try:
            while True:
                follow(CallEvent("progress", "c1", "bob", START))
                time.sleep(0.01)
        except KeyboardInterrupt:
            hung_up.set()
            raise

    calling = Calling(place, lambda at, text, event: told.append(text))
    calling.start()
    assert ringing.wait(5) and not calling.over
    calling.stop()
    assert calling.over and hung_up.is_set() and isinstance(calling.error, KeyboardInterrupt)
    assert told == ["bob: dialled"]


def test_the_document_of_a_call_names_only_what_is_there(opened: Opened, tmp_path: Path) -> None:
    session = opened(("core",))
    session.close()
    session.write(tmp_path / "call.pcapng", Kept(tmp_path, setting(), (), {}))
    (section,) = (b for _, b in pcapng.blocks((tmp_path / "call.pcapng").read_bytes()) if isinstance(b, pcapng.Section))
    assert json.loads(section.comments[1])["places"] == {"core": "core"}
