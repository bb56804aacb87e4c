"""What is kept of a call, read again: its one file, its ladder, and what is said where a part of it is not there."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lab_calls import files, moved, punched, setting, stun
from packet_world import START, TOPOLOGY, World, address, relay

from lab.errors import ConfigError, EvidenceError, RecordTorn, RuntimeUnavailable
from lab.evidence import Captures, filed, pcapng, read, unsealed, whole
from lab.harness import record
from lab.harness.call_report import MediaPath
from lab.harness.checkout import Checkout
from lab.harness.events import Claim, Ended
from lab.harness.kept import kept, kept_in, one_file
from lab.harness.placing import Placed, Request
from lab.report import story
from lab.report.console import plain
from lab.report.ladder import ladder as drawn
from lab.report.ladder_svg import svg

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    found = Checkout(tmp_path)
    for make in (punched, moved):
        _, folder = found.new_call()
        world, lines = make()
        files(world, folder)
        (folder / "timeline.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (folder / "setting.json").write_text(json.dumps(setting().to_json()))
        seen = {"kind": "punched", "transport": "udp", "via": None, "packets": 300}
        (folder / "report.json").write_text(json.dumps({"observed": seen, "dropped_by_captures": {"core": 2}}))
    return found


def test_the_one_file_of_a_call_has_the_verdict_of_its_report_and_comments(checkout: Checkout, tmp_path: Path) -> None:
    call, target = kept(checkout, "c1"), tmp_path / "c1.pcapng"
    packets = one_file(call, target)
    found = filed.verdict(target)
    seen = found.observed
    assert {"kind": seen.kind, "transport": seen.transport, "via": seen.via, "packets": seen.packets} == (
        call.report["observed"]
    )
    records = [block for _, block in pcapng.blocks(target.read_bytes()) if isinstance(block, pcapng.PacketRecord)]
    comments = [comment for one in records for comment in one.comments]
    assert len(records) == packets and len(comments) >= 10
    assert seen.dropped == {"core": 2}
    for what in ("invite", "first check", "first packet through", "nominated", "first voice"):
        assert any(comment.startswith(what) for comment in comments), what


def test_the_one_file_of_captures_that_were_cut_short_says_so_and_is_no_whole_call(
    checkout: Checkout, tmp_path: Path
) -> None:
    call, target = kept(checkout, "c2"), tmp_path / "c2.pcapng"
    one_file(call, target)
    assert filed.verdict(target).observed.kind == "punched", "it began at a relay"
    for file in call.files.values():  # 1.9 s of it, and a part of the next packet
        if until := [one.offset for one in read(file, file.stem).packets if one.time > START + 1.9]:
            file.write_bytes(file.read_bytes()[: until[0] + 30])
    one_file(kept(checkout, "c2"), target)
    with pytest.raises(ConfigError, match=r"core, .* end in mid-packet: what is there shows relayed/udp") as refused:
        filed.verdict(target)
    assert refused.value.exit_code == 2
    section = next(block for _, block in pcapng.blocks(target.read_bytes()))
    assert isinstance(section, pcapng.Section) and section.comments[0].endswith("end in mid-packet")


def test_one_capture_that_was_cut_short_is_named(checkout: Checkout, tmp_path: Path) -> None:
    call, target = kept(checkout, "c1"), tmp_path / "c1.pcapng"
    core = call.files["core"]
    core.write_bytes(core.read_bytes()[:-1])
    one_file(call, target)
    found = whole.read(target.read_bytes())
    assert found is not None and found.cut == ("core",)
    assert found.captures.truncated == {"core": "the capture of core ends in mid-packet"}
    with pytest.raises(ConfigError, match="the capture of core ends in mid-packet: what is there shows punched/udp"):
        filed.verdict(target)
    one_file(call, target, growing=True)
    assert filed.verdict(target).observed.kind == "punched", "while it goes on, its last packet is still to come"


def test_a_file_that_was_there_is_replaced(checkout: Checkout, tmp_path: Path) -> None:
    target = tmp_path / "x.pcapng"
    target.write_bytes(bytes(10_000_000))
    one_file(kept(checkout, "c2"), target)
    assert filed.verdict(target).observed.kind == "punched"


def test_the_ladder_of_a_call_begins_when_it_was_dialled(checkout: Checkout) -> None:
    found = kept(checkout, "c1").ladder()
    assert found.path == "punched/udp" and found.rows[0].what.startswith("invite")
    assert 0 <= found.rows[0].at_ms < 2


def test_a_ladder_names_the_rules_that_were_counted_in_the_call(checkout: Checkout) -> None:
    def dropped() -> list[str | None]:
        return [row.why for row in kept(checkout, "c1").ladder().rows if row.dropped]

    folder = checkout.call_folder("c1")
    assert dropped() == [None], "a call of a matrix, or an older one, has no counters"
    made = Placed("c1", Request("bob", "frank"), START, dropped={"home-router": {"INPUT's policy": 3}})
    record.dropped(made, folder)
    assert dropped() == ["INPUT's policy"]
    passed = [one for one in kept(checkout, "c1").passages if one.dropped_at]
    assert [str(one.cause) for one in passed] == ["INPUT's policy"]
    for torn in ('{"home-router"', "[]", '{"home-router": 3}', '{"home-router": {"x": "many"}}'):
        (folder / record.DROPPED).write_text(torn)
        with pytest.raises(EvidenceError, match="cannot be read"):
            kept(checkout, "c1").ladder()


def test_a_ladder_is_drawn_with_the_keys_that_are_kept(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    call, logs = kept(checkout, "c1"), list[str]()
    where = next((one.first.place, one.first.offset) for one in call.journeys if one.first.protocol == "tcp")

    def names(captures: Captures, log: str) -> dict[tuple[str, int], tuple[str, ...]]:
        logs.append(log)
        return {where: ("hello",)} if log else {}

    monkeypatch.setattr(unsealed, "names", names)
    monkeypatch.setattr(type(call), "dialled", START - 1)
    assert not any(row.what.startswith("hello") for row in call.ladder().rows)
    (call.folder / "tls-keys.txt").write_text("CLIENT_TRAFFIC_SECRET_0 07 aa\n")
    assert [row.what for row in call.ladder().rows if row.what.startswith("hello")] == ["hello supernode-1"]
    assert logs == ["", "CLIENT_TRAFFIC_SECRET_0 07 aa\n"]


def test_a_disk_that_fills_up_is_one_sentence_and_names_where_the_captures_are(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole, "write", full)
    with pytest.raises(RuntimeUnavailable, match="No space left on device; what it holds so far can be read"):
        one_file(kept(checkout, "c1"), tmp_path / "x.pcapng")


def test_a_call_that_is_not_kept_or_is_older_than_this_is_refused(checkout: Checkout) -> None:
    with pytest.raises(ConfigError, match="no call 'c9'; kept are c1, c2"):
        kept(checkout, "c9")
    (checkout.call_folder("c1") / "setting.json").unlink()
    with pytest.raises(ConfigError, match=r"no setting\.json in .*; place it again|older than that"):
        kept(checkout, "c1")


@pytest.mark.parametrize("file", ["setting.json", "timeline.jsonl", "report.json"])
def test_a_torn_file_of_it_is_one_sentence(checkout: Checkout, file: str) -> None:
    (checkout.call_folder("c1") / file).write_text('{"torn')
    with pytest.raises(RecordTorn, match="what is kept of c1") as refused:
        kept(checkout, "c1")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, r"home-router\.pcap is missing"),
        (b"", "the capture of home-router is empty"),
        (bytes(99), "the capture of home-router is not a pcap file: it begins with 00000000"),
    ],
    ids=["missing", "empty", "corrupt"],
)
def test_a_ladder_without_a_capture_that_it_takes_is_one_sentence(
    checkout: Checkout, content: bytes | None, why: str
) -> None:
    file = checkout.call_folder("c1") / "home-router.pcap"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecordTorn, match=f"kept of c1 .*{why}") as refused:
        kept(checkout, "c1").ladder()
    assert refused.value.exit_code == 2


def test_a_ladder_invents_no_losses_where_a_capture_was_cut_short(checkout: Checkout) -> None:
    whole = kept(checkout, "c1")
    assert whole.ladder().gaps[0].startswith("the capture of core lacks 2 packets that the kernel dropped: ")
    flat = whole.files["flat-router"]
    until = next(one.offset for one in read(flat, "flat-router").packets if one.time > START + 2)
    flat.write_bytes(flat.read_bytes()[: until + 30])
    found = kept(checkout, "c1").ladder()
    assert [(row.what, row.dropped) for row in found.rows if row.dropped] == [("first check", "home-router")]
    assert found.gaps[0].startswith("the capture of flat-router ends in mid-packet, 1,9") and len(found.gaps) == 2
    assert set(found.gaps) <= {line.strip() for line in plain(drawn(found, 80), 150).splitlines()}
    assert found.to_json()["gaps"] == list(found.gaps) and all(gap in svg(found) for gap in found.gaps)


def test_a_ladder_names_no_cause_by_a_place_whose_kernel_dropped_packets(checkout: Checkout) -> None:
    folder = checkout.call_folder("c1")
    record.dropped(Placed("c1", Request("bob", "frank"), START, dropped={"home-router": {"INPUT's policy": 3}}), folder)
    (folder / "report.json").write_text(json.dumps({"dropped_by_captures": {"home-router": 1}}))
    found = kept(checkout, "c1").ladder()
    assert [(row.dropped, row.why) for row in found.rows if row.dropped] == [("home-router", None)]
    assert found.gaps == (
        "the capture of home-router lacks 1 packet that the kernel dropped: what it does not show may have been there",
    )


def test_what_is_recorded_is_what_is_read(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    call, folder = checkout.new_call()
    placed = Placed(call, Request("bob", "frank"), started=START)
    record.setting(TOPOLOGY, placed, [{"node": "supernode-1"}, {"node": "nobody"}], folder)
    (folder / "report.json").write_text("{}")
    (folder / "timeline.jsonl").write_text("")
    found = kept(checkout, call).setting
    assert (found.call, found.caller, found.callee, found.start) == (call, "bob", "frank", START)
    sites = {node.site for node in found.topology.nodes}
    assert sites == {None, "home", "flat"}
    shutil.rmtree(folder)


def by_alice() -> Placed:
    """A call that a client relays."""
    history = (Claim(START + 0.5, START + 2.5, MediaPath("relayed", "udp", "alice")),)
    placed = Placed("c3", Request("bob", "frank"), started=START)
    placed.reports["bob"] = Ended("bob", START + 3, True, True, "hangup", history[0].path, history, None)
    return placed


@pytest.fixture
def relayed(checkout: Checkout) -> Path:
    """The folder of a call that a client relays, as it is captured: not at that client's router."""
    _, folder = checkout.new_call()
    world, alice = World(), (address("alice"), 33034)
    for number, (client, port) in enumerate((("bob", 4000), ("frank", 5000))):
        out = world.outer(client, "udp", port, alice)
        world.send(START + 0.1, "udp", client, port, alice, stun(number, 0x2E0))
        world.send(START + 0.12, "udp", "alice", alice[1], out, stun(number, 0x3E0))
    relay(world, ("bob", 4000), ("frank", 5000), START + 0.5, 2.0, at=alice)
    files(world, folder)
    for place in ("park", "office", "hotel", "bank"):
        (folder / f"{place}-router.pcap").unlink()
    (folder / "report.json").write_text("{}")
    (folder / "timeline.jsonl").write_text("")
    record.setting(TOPOLOGY, by_alice(), [], folder)
    return folder


def test_a_client_that_relayed_a_call_is_of_its_setting_and_the_file_names_it(relayed: Path, tmp_path: Path) -> None:
    call = kept_in(relayed)
    assert {"alice", "park-router"} <= {node.name for node in call.setting.topology.nodes}
    one_file(call, tmp_path / "c3.pcapng")
    seen = filed.verdict(tmp_path / "c3.pcapng").observed
    assert (seen.kind, seen.transport, seen.via) == ("relayed", "udp", "alice")


def test_the_ladder_of_a_call_that_a_client_relayed_has_its_binds_and_its_voice(relayed: Path) -> None:
    call = kept_in(relayed)
    through = [moment.sentence for moment in call.moments]
    assert "first voice of bob: relayed/udp via alice" in through
    found = call.ladder()
    assert [column.name for column in found.columns] == ["bob", "home-router", "alice", "flat-router", "frank"]
    rows = [(row.what, found.columns[row.sender].name, found.columns[row.receiver].name) for row in found.rows]
    assert {
        ("bind alice", "bob", "alice"),
        ("first voice alice", "frank", "alice"),
        ("voice alice", "alice", "bob"),
    } <= {*rows}
    assert all(row.answered for row in found.rows if row.what == "bind alice")


def test_the_lines_of_a_client_that_relayed_a_call_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(engine: object, container: str, since: float) -> list[tuple[float, dict[str, str]]]:
        return [(since, {"node": container, "event": "said", "call": "c3.1"})]

    monkeypatch.setattr(record, "Log", said)
    containers = {node.name: SimpleNamespace(id=node.name) for node in TOPOLOGY.nodes}
    world: Any = SimpleNamespace(topology=TOPOLOGY, containers=containers)
    engine: Any = None
    lines = record.logs(engine, world, by_alice())
    assert {line["node"] for line in lines} == {"bob", "frank", "alice", "supernode-1", "relay-1", "relay-2"}


def test_captures_that_cannot_be_read_are_passed_over(checkout: Checkout) -> None:
    folder = checkout.call_folder("c1")
    everything = len(kept(checkout, "c1").passages)
    (folder / "core.pcap").write_bytes(b"no pcap, and longer than the header of one")
    assert 0 < len(kept(checkout, "c1").passages) <= everything
    for file in folder.glob("*.pcap"):
        file.write_bytes(b"torn")
    assert kept(checkout, "c1").passages == []


def test_a_failed_test_s_story_has_the_ladder_and_without_a_setting_what_the_nodes_said(checkout: Checkout) -> None:
    folder = checkout.call_folder("c1")
    lines = [json.loads(line) for line in (folder / "timeline.jsonl").read_text().splitlines()]
    assert "first voice" in plain(story.ladder(folder, lines), story.WIDTH)
    (folder / "setting.json").unlink()
    assert "what happened, ms after dialling" in plain(story.ladder(folder, lines), story.WIDTH)
