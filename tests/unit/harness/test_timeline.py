"""The lab's timeline: stamped when it holds, read back in order, torn lines left out."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ConfigError, NotNow, RuntimeUnavailable
from lab.harness import Lab, changing
from lab.harness.changing import SiteChange
from lab.harness.timeline import Timeline


def test_an_event_is_stamped_with_what_it_was_and_how_long_it_took(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path, "lab")
    with timeline.event("renew", site="home") as stamp:
        stamp["after"] = "203.0.113.99"
    (line,) = timeline.read()
    assert (line["event"], line["site"], line["after"], line["lab"]) == ("renew", "home", "203.0.113.99", "lab")
    assert line["took_ms"] >= 0
    assert timeline.read(since=line["at"] + 1) == timeline.read(until=line["at"] - 1) == []


def test_what_luck_begins_with_on_a_line_that_is_given_at_run_time_is_stamped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compose").mkdir()
    (tmp_path / "compose" / "base.yml").touch()
    lab = Lab(tmp_path)
    monkeypatch.setattr(Lab, "engine", None)
    monkeypatch.setattr(Lab, "running_world", lambda self: None)
    for said in ({"link": {}, "line_seeds": {"carrier-1-router": 8}}, {"link": {}}):
        monkeypatch.setattr(changing, "set_site", lambda *words, said=said: said)
        lab.set("mobile-1", SiteChange(link={"loss": "5%"}))
    assert [line.get("line_seeds") for line in lab.timeline.read()] == [{"carrier-1-router": 8}, None]


def test_what_was_refused_leaves_no_stamp_and_what_failed_says_why(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path, "lab")
    with pytest.raises(ConfigError), timeline.event("set", site="nowhere"):
        raise ConfigError("no such site")
    with pytest.raises(NotNow), timeline.event("kill", node="bob"):
        raise NotNow("the lab is not up")
    with pytest.raises(RuntimeUnavailable), timeline.event("set", site="home"):
        raise RuntimeUnavailable("home-router does not answer")
    assert [line["error"] for line in timeline.read()] == ["home-router does not answer"]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("set", ("home", SiteChange(firewall="none"))),
        ("forget", ("home",)),
        ("renew", ("home",)),
        ("move", ("bob", "park")),
        *((event, ("bob",)) for event in ("unplug", "plug", "stop", "kill", "start", "restart")),
    ],
)
def test_where_no_engine_answered_nothing_was_done_and_nothing_is_stamped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str, words: tuple[Any, ...]
) -> None:
    def unreachable(self: Lab) -> None:
        raise RuntimeUnavailable("cannot reach the Docker Engine")

    (tmp_path / "compose").mkdir()
    (tmp_path / "compose" / "base.yml").touch()
    lab = Lab(tmp_path)
    monkeypatch.setattr(Lab, "running_world", unreachable)
    with pytest.raises(RuntimeUnavailable, match="cannot reach"):
        getattr(lab, event)(*words)
    assert lab.timeline.read() == []


def test_what_is_being_done_is_known_before_it_holds(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path, "lab")
    with timeline.event("restart", node="home-router"):
        assert timeline.read() == []
        (line,) = Timeline(tmp_path, "lab").changes(time.time())
        assert (line["event"], line["node"]) == ("restart", "home-router") and time.time() - line["at"] < 5
        assert Timeline(tmp_path, "two").changes(0.0) == []
    with pytest.raises(ConfigError), timeline.event("set", site="nowhere"):
        raise ConfigError("no such site")
    assert [line["event"] for line in timeline.changes(0.0)] == ["restart"]


def test_who_was_killed_does_nothing_any_more(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path, "lab")
    gone = subprocess.Popen(["true"])
    gone.wait()
    with timeline.event("forget", site="home"):
        (mark,) = (tmp_path / "under-way-lab").iterdir()
        mark.rename(mark.with_name(f"{gone.pid}-1.json"))
        assert timeline.changes(0.0) == []
    assert list((tmp_path / "under-way-lab").iterdir()) == []


def test_labs_have_timelines_of_their_own_and_torn_lines_are_left_out(tmp_path: Path) -> None:
    one, two = Timeline(tmp_path, "lab"), Timeline(tmp_path, "two")
    one.stamp("up", 0.0)
    with one.file.open("a") as file:
        file.write('{"at": 17, "eve\n[]\n{"event": "no time"}\n')
    two.stamp("down", 0.0)
    assert [line["event"] for line in one.read()] == ["up"]
    assert [line["event"] for line in two.read()] == ["down"]


@pytest.mark.parametrize(
    ("events", "out"),
    [
        ([("unplug", "bob")], ["bob"]),
        ([("unplug", "bob"), ("unplug", "carol"), ("plug", "bob")], ["carol"]),
        ([("unplug", "bob"), ("restart", "bob")], []),
        ([("unplug", "bob"), ("stop", "bob"), ("start", "bob")], []),
        ([("unplug", "bob"), ("up", None)], []),
    ],
)
def test_it_knows_whose_cables_are_out(tmp_path: Path, events: list[tuple[str, str | None]], out: list[str]) -> None:
    timeline = Timeline(tmp_path, "lab")
    for event, node in events:
        timeline.stamp(event, 0.0, node=node)
    assert timeline.unplugged() == out


def test_a_timeline_that_was_not_written_since_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = Timeline(tmp_path, "lab")
    at = timeline.stamp("kill", 0.0, node="relay-1")["at"]
    assert [line["event"] for line in timeline.read(since=at)] == ["kill"]
    monkeypatch.setattr(Path, "read_text", lambda file: pytest.fail("a matrix asks for every call"))
    assert timeline.read(since=at + 60) == []
