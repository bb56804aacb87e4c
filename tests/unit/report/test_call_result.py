"""What a person reads after a call, without colours and in 80 columns."""

import io
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from rich.console import Console

from lab.harness.call_report import CallReport, KeyChanged, Media, MediaPath, Observed, SetupTimes, Stretch, Witness
from lab.harness.events import CallEvent
from lab.report.console import _THEME
from lab.report.progress import CallProgress
from lab.report.result import result
from lab.report.route import hops
from lab.report.sites import next_steps, tree
from lab.topology import parse
from lab.topology.model import Network, Node, Role, Topology


def node(name: str, role: Role, site: str | None = None) -> Node:
    return Node(name, role, site, "linux" if site else None, "none" if site else None, ())


WORLD = Topology(
    (
        node("core", Role.CORE),
        node("home-router", Role.ROUTER, "home"),
        node("flat-router", Role.ROUTER, "flat"),
        node("bob", Role.CLIENT, "home"),
        node("bella", Role.CLIENT, "home"),
        node("frank", Role.CLIENT, "flat"),
        node("relay-1", Role.RELAY),
    ),
    (
        Network("internet", "internet", None, IPv4Network("203.0.113.0/24")),
        Network("home", "site", "home", IPv4Network("192.168.32.0/24")),
        Network("flat", "site", "flat", IPv4Network("192.168.33.0/24")),
    ),
)
PUNCHED = MediaPath("punched", "udp", None)


@pytest.mark.parametrize(
    ("callee", "path", "expected"),
    [
        ("frank", PUNCHED, "bob home-router core flat-router frank"),
        ("frank", MediaPath("relayed", "mixed", "relay-1"), "bob home-router core relay-1 core flat-router frank"),
        ("bella", MediaPath("direct", "udp", None), "bob bella"),
        ("bella", PUNCHED, "bob home-router bella"),
    ],
)
def test_the_hops_of_each_path(callee: str, path: MediaPath, expected: str) -> None:
    assert hops(WORLD, "bob", callee, path) == expected.split()


COMPOSE = Path(__file__).parents[3] / "compose"
ZOO = parse(COMPOSE / "zoo.yml", {})


@pytest.mark.parametrize(
    ("callee", "expected"),
    [
        ("mobile-2-pc", "mobile-1-pc mobile-1-router carrier-1-router mobile-2-router mobile-2-pc"),
        (
            "mobile-4-pc",
            "mobile-1-pc mobile-1-router carrier-1-router core carrier-2-router mobile-4-router mobile-4-pc",
        ),
    ],
)
def test_the_hops_behind_carriers(callee: str, expected: str) -> None:
    assert hops(ZOO, "mobile-1-pc", callee, PUNCHED) == expected.split()


def shown(report: CallReport, expected: str | None = None) -> str:
    console = Console(file=io.StringIO(), width=80, theme=_THEME)
    console.print(result(report, WORLD, Path(".lab/calls/c7"), expected))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    return str(text)


def report(**changes: object) -> CallReport:
    media = Media(150, 149, 1, 0.4, 1.2, 43.0, 4.2)
    fields: dict[str, object] = {
        "call": "c7", "caller": "bob", "callee": "frank", "connected": True, "error": None, "path": PUNCHED,
        "observed": Observed("punched", "udp", None, 300), "agrees": True, "disagreements": (),
        "history": (
            Stretch("relayed", "udp", "relay-1", 530, 700, True), Stretch("punched", "udp", None, 700, 3500, True)
        ),
        "setup_ms": SetupTimes(10, 510, 530, 700), "media": {"bob": media, "frank": media}, "dropped_by_captures": {},
    }  # fmt: skip
    return CallReport(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_good_call_tells_path_times_stretches_and_quality() -> None:
    text = shown(report())
    for words in ("punched/udp", "300 packets agree", "home-router ─── core", "best path 700 ms", "via relay-1", "4.2"):
        assert words in text


def test_a_disagreement_is_told_in_words_not_in_colour_alone() -> None:
    text = shown(report(agrees=False, disagreements=("claimed relayed/udp, and the packets show punched/udp",)))
    assert "DISAGREE" in text and "the packets show punched/udp" in text


def test_a_changed_key_is_a_question_to_the_user() -> None:
    text = shown(report(keys_changed=(KeyChanged("bob", "frank", "aa" * 32, "bb" * 32),)))
    assert "frank shows bob another key than before: is it still the same frank?" in text


def test_the_witnesses_are_named_by_what_they_did() -> None:
    told = [("packets", True), ("relay-1", False), ("home-router", None), ("home-router", None)]
    text = shown(report(witnesses=tuple(Witness(name, "why", agrees) for name, agrees in told)))
    assert "  agree: packets; DISAGREE: relay-1; absent: home-router" in text


def test_a_failed_call_says_why() -> None:
    nothing = SetupTimes(None, None, None, None)
    failed = report(
        connected=False, error="frank did not answer", path=None, observed=None, agrees=False, history=(), media={},
        setup_ms=nothing,
    )  # fmt: skip
    text = shown(failed)
    assert "not connected" in text and "frank did not answer" in text


def test_drops_and_expectations_are_told() -> None:
    text = shown(report(dropped_by_captures={"core": 3}), expected="relayed/tcp")
    assert "the capture at core dropped 3 packets" in text and "expected relayed/tcp" in text


def test_the_tree_names_every_node_and_the_next_steps_name_clients() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(tree(WORLD, "a lab"), next_steps(WORLD, "lab"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(node.name in text for node in WORLD.nodes)
    assert "lab call bob bella" in text and "lab tour" not in text


def test_where_the_tour_goes_it_is_named() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(next_steps(parse(COMPOSE / "reference.yml", {}), "lab"))
    assert "lab tour" in console.file.getvalue()  # type: ignore[attr-defined]


def test_progress_without_a_terminal_is_a_line_a_change() -> None:
    console = Console(file=io.StringIO(), width=80)
    with CallProgress(console, "bob", "frank", 3) as progress:
        progress.follow(CallEvent("dialled", "c7", "bob", 1.0))
        progress.follow(CallEvent("ringing", "c7", "bob", 1.0))
        progress.follow(CallEvent("ringing", "c7", "frank", 1.0))
        progress.follow(CallEvent("path", "c7", "bob", 1.0, PUNCHED))
    assert console.file.getvalue().splitlines() == ["dialling", "ringing", "ringing, punched/udp"]  # type: ignore[attr-defined]


def test_on_a_terminal_nothing_is_drawn_before_the_call_is_dialled() -> None:
    console = Console(file=(written := io.StringIO()), width=80, force_terminal=True)
    with CallProgress(console, "bob", "nobody", 3):
        pass
    assert written.getvalue() == ""
    with CallProgress(console, "bob", "frank", 3) as progress:
        progress.follow(CallEvent("dialled", "c7", "bob", 1.0))
    assert "dialling" in written.getvalue()
