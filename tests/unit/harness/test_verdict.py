"""The report of a call from its ends' words and the judge's, each of which may be missing or differ."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab import evidence
from lab.errors import EvidenceError, ProtocolError
from lab.evidence.media import Bout
from lab.harness import verdict
from lab.harness.call_report import CallReport
from lab.harness.events import parse_ended, parse_event
from lab.harness.placing import Placed, Request
from lab.runtime.capture import Captured
from lab.topology.model import Topology

RELAYED = {"kind": "relayed", "transport": "udp", "via": "relay-1"}
PUNCHED = {"kind": "punched", "transport": "udp", "via": None}
MEDIA = {"sent": 150, "received": 149, "lost": 1, "jitter_ms": 0.4, "rtt_ms": 1.2, "mouth_to_ear_ms": 43, "mos": 4.2}
EMPTY = Topology((), ())


def line(event: str, node: str, at: float, **more: Any) -> dict[str, Any]:
    return {"event": event, "call": "c7", "node": node, "at": at, **more}


def ended(node: str, path: dict[str, Any] | None = RELAYED, **more: Any) -> dict[str, Any]:
    history = [{"from": 100.5, "to": 103.5, **path}] if path else []
    said = {"reason": "hangup", "ok": True, "connected": True, "path": path, "history": history, "media": MEDIA}
    return line("ended", node, 103.6, **{**said, **more})


def placed(*lines: dict[str, Any], trouble: str | None = None) -> Placed:
    made = Placed("c7", Request("bob", "carol"), 99.9, trouble=trouble)
    told = [line("dialled", "bob", 100.0), line("answered", "carol", 100.5)]
    told += [line("first-media", name, 100.53) for name in ("bob", "carol")]
    made.events = [parse_event(one) for one in (*told, *lines)]
    made.reports = {one.node: parse_ended(one) for one in made.events if one.event == "ended"}
    made.captured = [Captured("core", Path("core.pcap"), 600, 2), Captured("relay-1", Path("relay-1.pcap"), 600, 0)]
    return made


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the judge will say: a path, or the sentence of an EvidenceError."""

    def say(kind: str | None, transport: str | None, via: str | None, *reasons: str, error: str | None = None) -> None:
        def hold(
            topology: Any,
            captures: Any,
            caller: str,
            callee: str,
            history: Any,
            start: float,
            end: float,
            far: Any,
            silences: Any,
        ) -> Any:
            window = start, end
            silent = tuple(True for _ in silences[0])
            if error:
                raise EvidenceError(error)
            finding = evidence.Finding.PATH if kind else evidence.Finding.NO_MEDIA
            seen = evidence.Observed(finding, kind, transport, via, 591, "as seen", *window, (), (), {}, {})  # type: ignore[arg-type]
            held = tuple(evidence.Held(claim, seen, not reasons, "as seen") for claim in history)
            return evidence.Verdict(seen, held, not reasons, reasons, *window, 0.02, silent)

        monkeypatch.setattr(evidence, "hold", hold)
        monkeypatch.setattr(evidence.Captures, "read", staticmethod(lambda files, dropped: None))

    return say


def test_a_call_on_which_all_agree_reads_as_the_document_says(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    report = verdict.report(EMPTY, placed(ended("bob"), ended("carol")))
    document = report.to_json()
    assert list(document)[:8] == ["call", "caller", "callee", "connected", "error", "path", "observed", "agrees"]
    assert document["path"] == RELAYED
    assert document["observed"] == {**RELAYED, "packets": 591}
    assert document["history"] == [{"from_ms": 500, "to_ms": 3500, **RELAYED, "agrees": True}]
    assert document["setup_ms"] == {"ringing": None, "answered": 500, "first_media": 530, "best_path": 530}
    assert document["media"] == {"bob": MEDIA, "carol": MEDIA}
    assert document["dropped_by_captures"] == {"core": 2}
    assert report.agrees and report.holds() and report.holds("relayed/udp") and not report.holds("relayed/tcp")


def test_a_contact_that_shows_another_key_is_told_of_and_is_no_failure(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    told = line("key-changed", "bob", 100.2, contact="carol", before="aa", now="bb")
    report = verdict.report(EMPTY, placed(told, ended("bob"), ended("carol")))
    expected = [{"node": "bob", "contact": "carol", "before": "aa", "now": "bb"}]
    assert report.to_json()["keys_changed"] == expected
    assert report.holds("relayed/udp")
    with pytest.raises(ProtocolError, match="'now'"):
        verdict.report(EMPTY, placed(line("key-changed", "bob", 100.2, contact="carol", before="aa")))


def test_a_report_is_read_back_whole(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    changed = line("key-changed", "bob", 100.2, contact="carol", before="aa", now="bb")
    report = verdict.report(EMPTY, placed(changed, ended("bob"), ended("carol")))
    assert report.witnesses and report.keys_changed
    assert CallReport.from_json(json.loads(json.dumps(report.to_json())), report.evidence) == report


def test_a_hold_that_both_ends_tell_and_the_packets_bear_out_agrees(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    holds = {name: [{"from": 101.0 + late, "to": 103.0 + late}] for name, late in (("bob", 0.0), ("carol", 0.02))}
    report = verdict.report(EMPTY, placed(*(ended(name, holds=told) for name, told in holds.items())))
    assert report.to_json()["holds"] == [{"from_ms": 1000, "to_ms": 3000, "agrees": True}]
    assert report.holds()


def test_a_hold_that_one_end_knows_nothing_of_is_a_disagreement(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    told = [{"from": 101.0, "to": 103.0}]
    report = verdict.report(EMPTY, placed(ended("bob", holds=told), ended("carol")))
    assert_disagrees(report, "bob was on hold from 1000 to 3000 ms, and carol was not")
    assert not report.on_hold[0].agrees
    report = verdict.report(EMPTY, placed(ended("bob"), ended("carol", holds=told)))
    assert_disagrees(report, "carol was on hold more often than bob")


def assert_disagrees(report: CallReport, *words: str) -> None:
    assert report.connected and not report.agrees and not report.holds()
    for word in words:
        assert any(word in sentence for sentence in report.disagreements), report.disagreements


def test_packets_that_say_otherwise_are_a_disagreement(packets: Any) -> None:
    packets("punched", "udp", None, "claimed relayed/udp at the end, and the packets show something else")
    assert_disagrees(verdict.report(EMPTY, placed(ended("bob"), ended("carol"))), "the packets show")


def test_ends_that_say_different_things_are_a_disagreement(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    report = verdict.report(EMPTY, placed(ended("bob"), ended("carol", PUNCHED)))
    assert_disagrees(report, "bob ended on relayed/udp via relay-1, carol on punched/udp", "bob claims")
    assert not report.history[0].agrees


def test_media_passes_between_two_where_it_goes_both_ways() -> None:
    """As after a router has got a new outer address: one end sends to the former for a while."""

    def way(*spans: tuple[float, float]) -> evidence.Way:
        bouts = tuple(Bout(begin, over, round((over - begin) * 50)) for begin, over in spans)
        return evidence.Way(bouts, 100, 100, 0.02)

    def path(there: evidence.Way | None, back: evidence.Way | None) -> evidence.MediaPath:
        end: Any = None
        return evidence.MediaPath("direct", "tcp", None, end, end, there, back, 100)

    old, new = path(way((0.5, 4.6)), way((0.4, 4.8))), path(way((4.76, 9.0)), way((4.77, 9.1)))
    assert verdict._both_ways([old, new]) == [(0.5, 4.6), (4.76, 9.0)]
    assert verdict._both_ways([path(way((0.5, 4.6)), None)]) == []


def test_an_empty_capture_is_an_error_and_never_a_path(packets: Any) -> None:
    packets(None, None, None, error="the capture of core is empty, and the call must have passed it")
    report = verdict.report(EMPTY, placed(ended("bob"), ended("carol")))
    assert report.connected and report.path is None and report.observed is None and not report.agrees
    assert report.error == "the capture of core is empty, and the call must have passed it"


def test_packets_that_name_no_path_are_an_error(packets: Any) -> None:
    packets(None, None, None, "no media")
    report = verdict.report(EMPTY, placed(ended("bob"), ended("carol")))
    assert report.observed is None and not report.agrees and report.error == "the packets name no path: as seen"


def test_a_call_that_failed_has_no_path_and_says_why() -> None:
    failed = ended("bob", None, ok=False, connected=False, reason="carol did not answer", media=None)
    report = verdict.report(EMPTY, placed(failed))
    assert (report.path, report.observed, report.connected, report.agrees) == (None, None, False, False)
    assert report.error == "carol did not answer"
    assert report.media == {} and not report.holds()


def test_a_call_that_broke_off_is_not_a_good_one(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    report = verdict.report(EMPTY, placed(ended("bob", ok=False, reason="no path for 30 s"), ended("carol")))
    assert report.error == "no path for 30 s" and not report.holds()
    assert (report.path, report.observed, report.agrees) == (None, None, False)
    assert report.history, "what it was before stays to be seen"


def test_what_was_sent_where_no_path_was_is_lost_and_has_no_quality(packets: Any) -> None:
    packets("relayed", "udp", "relay-1")
    failed = ended("bob", ok=False, reason="no path for 30 s", media={**MEDIA, "sent": 1500})
    report = verdict.report(EMPTY, placed(failed, ended("carol", ok=False, reason="no path for 30 s")))
    carols, bobs = report.media["carol"], report.media["bob"]
    assert (carols.lost, carols.mos) == (1500 - MEDIA["received"], None)
    assert bobs.lost == max(MEDIA["lost"], MEDIA["sent"] - MEDIA["received"]), "what carol has sent has come"


def test_an_end_that_went_silent_is_named() -> None:
    report = verdict.report(EMPTY, placed(ended("bob"), trouble="carol went silent in the call"))
    assert not report.connected and report.error == "carol went silent in the call"


@pytest.mark.parametrize("missing", ["ok", "connected", "reason"])
def test_a_last_word_that_lacks_something_is_refused_by_name(missing: str) -> None:
    said = ended("bob")
    del said[missing]
    with pytest.raises(ProtocolError, match=f"bob.*{missing}"):
        parse_ended(parse_event(said))


def test_an_event_of_no_time_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not understood"):
        parse_event({"event": "ringing", "call": "c7", "node": "bob", "at": 10**400})


def test_an_event_that_lacks_its_node_is_refused() -> None:
    with pytest.raises(ProtocolError, match="node"):
        parse_event({"event": "ringing", "call": "c7", "at": 1.0})


def test_a_path_that_is_no_object_is_refused() -> None:
    with pytest.raises(ProtocolError, match="direct/udp"):
        parse_event(line("check", "bob", 1.0, path="direct/udp"))
