"""Why a call took its path, from what it left behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ConfigError, EvidenceError
from lab.harness.checkout import Checkout
from lab.harness.explaining import Explanation, concluded, explain
from lab.topology import parse


def report(kind: str | None = "relayed", transport: str = "udp") -> dict[str, Any]:
    seen = {"kind": kind, "transport": transport, "via": None, "packets": 9} if kind else None
    return {"call": "c7", "caller": "bob", "callee": "carol", "observed": seen, "path": None, "error": None}


def line(event: str, node: str, at: float, **more: Any) -> dict[str, Any]:
    return {"event": event, "node": node, "at": 100 + at, "call": "c7", **more}


def check(node: str, at: float, tried: str, remote: str, state: str, rtt_ms: float | None = None) -> dict[str, Any]:
    return line("check", node, at, tried=tried, remote=remote, state=state, rtt_ms=rtt_ms)


DIALLED = line("dialled", "bob", 0)
CAROL = "203.0.113.34:40362"


def reason(found: Explanation, path: str) -> tuple[str, str]:
    (rung,) = [rung for rung in found.rungs if rung.path == path]
    return rung.verdict, rung.reason


def test_a_relayed_call_names_the_addresses_that_never_answered() -> None:
    found = concluded(
        report(),
        [
            DIALLED,
            check("bob", 0.05, "udp", CAROL, "in-progress"),
            check("bob", 0.06, "relayed/udp via relay-1", "203.0.113.21:33034", "in-progress"),
            check("bob", 0.1, "relayed/udp via relay-1", "203.0.113.21:33034", "valid", 41.0),
            check("bob", 6.05, "udp", CAROL, "failed"),
        ],
    )
    assert reason(found, "punched/udp") == ("ruled out", f"no answer to bob from {CAROL}")
    assert reason(found, "direct/tcp")[1].startswith("neither end tried TCP")
    assert reason(found, "relayed/udp") == (
        "taken",
        "bob had the first answer of 203.0.113.21:33034 after 100 ms, round trip 41 ms",
    )
    assert reason(found, "relayed/mixed") == ("not needed", "a better one works")
    assert [(one.from_ms, one.to_ms, one.outcome) for one in found.attempts] == [
        (50, 6050, "failed"),
        (60, 100, "valid"),
    ]


def test_of_two_relays_that_which_carried_the_call_is_why() -> None:
    by_the_first = report()
    by_the_first["observed"]["via"] = "relay-1"
    found = concluded(
        by_the_first,
        [
            DIALLED,
            check("bob", 0.09, "relayed/udp via relay-2", "203.0.113.22:33034", "valid", 43.0),
            check("bob", 0.1, "relayed/udp via relay-1", "203.0.113.21:33034", "valid", 41.0),
        ],
    )
    assert reason(found, "relayed/udp")[1].startswith("bob had the first answer of 203.0.113.21:33034 after 100 ms")


def test_translation_of_both_ends_is_what_rules_out_a_direct_path() -> None:
    lines = [
        DIALLED,
        check("bob", 0.05, "udp", CAROL, "in-progress"),
        check("bob", 0.1, "punched/udp", CAROL, "valid", 40),
    ]
    found = concluded(report("punched"), lines)
    assert reason(found, "direct/udp") == (
        "ruled out",
        "both ends are translated by a router, so what works is punched",
    )


STRETCH = {"kind": "direct", "transport": "udp", "via": None, "from_ms": 500, "to_ms": 3000, "agrees": True}
BROKEN = [
    DIALLED,
    check("bob", 0.1, "direct/udp", CAROL, "valid", 40),
    check("bob", 0.11, "relayed/udp via relay-1", "203.0.113.21:33034", "valid", 41),
]


def test_an_interrupted_call_is_explained_by_the_path_that_it_was_on() -> None:
    found = concluded({**report(None), "error": "interrupted", "history": [STRETCH]}, BROKEN)
    assert found.path == "direct/udp"
    assert reason(found, "direct/udp")[0] == "taken"
    assert reason(found, "relayed/udp") == ("not needed", "a better one works")


def test_of_a_call_whose_paths_have_all_died_nothing_is_left_for_another() -> None:
    found = concluded({**report(None), "error": "no path works for 30 s", "history": [STRETCH]}, BROKEN)
    assert reason(found, "direct/udp")[1].endswith("and it worked no more")
    assert reason(found, "relayed/udp") == ("ruled out", "it worked, and does no more")


def path(node: str, at: float, kind: str, via: str | None = None) -> dict[str, Any]:
    return line("path", node, at, path={"kind": kind, "transport": "udp", "via": via})


def test_of_a_call_that_nobody_answered_what_worked_was_left_for_nothing() -> None:
    found = concluded({**report(None), "error": "hung up before carol answered"}, BROKEN)
    assert found.path is None
    nobody = ("worked", "nobody had answered when the call was over")
    assert reason(found, "direct/udp") == reason(found, "relayed/udp") == nobody
    assert reason(found, "relayed/tcp")[0] == "ruled out"


def test_of_a_call_without_a_path_only_what_an_end_moved_away_from_was_left() -> None:
    mute = {**report(None), "error": "the capture at core is empty"}
    moves = [path("bob", 0.2, "relayed", "relay-1"), path("carol", 0.2, "direct"), path("bob", 0.5, "direct")]
    found = concluded(mute, [*BROKEN, line("answered", "bob", 0.2), *moves])
    assert reason(found, "relayed/udp") == ("worked", "it worked, and was left for another")
    last = "it worked, and was the last that the voice of bob and of carol went out on"
    assert reason(found, "direct/udp") == ("worked", last)


def test_a_better_path_that_worked_and_had_no_voice_on_it_was_not_left() -> None:
    lines = [*BROKEN, line("answered", "bob", 0.2), path("bob", 0.2, "relayed", "relay-1")]
    assert reason(concluded(report(), lines), "direct/udp") == ("ruled out", "it worked, and was not taken")


def test_guesses_that_met_nobody_are_counted() -> None:
    guess = line("guessing", "carol", 20, part="guess", under_way=False, sent=4000, sockets=0)
    found = concluded(report(), [DIALLED, check("bob", 0.05, "udp", CAROL, "failed"), guess])
    assert reason(found, "punched/udp")[1].endswith("and 4000 guesses of ports met nobody")
    assert found.guesses == ("carol (guess): 4000 packets, 0 sockets",)


def test_a_leg_that_has_no_udp_is_why_a_relayed_call_is_mixed() -> None:
    relay = [check("bob", 0.1, "relayed/mixed via relay-1", "203.0.113.21:33034", "valid", 40)]
    found = concluded(report("relayed", "mixed"), [DIALLED, *relay])
    assert reason(found, "relayed/udp") == (
        "ruled out",
        "it needs UDP on both legs; what works at the relay is relayed/mixed",
    )


def test_a_tcp_connection_that_never_came_about_is_an_attempt() -> None:
    tried = [
        line("connecting", "bob", at, remote="198.51.100.18:443", state=state)
        for at, state in ((0.3, "in-progress"), (5.3, "failed"))
    ]
    found = concluded(report(), [DIALLED, *tried])
    assert [(one.transport, one.from_ms, one.to_ms, one.outcome) for one in found.attempts] == [
        ("tcp", 300, 5300, "failed")
    ]
    assert reason(found, "direct/tcp") == ("ruled out", "no answer to bob from 198.51.100.18:443")


def test_what_worked_to_the_end_has_not_failed_because_the_call_was_over() -> None:
    lines = [DIALLED, check("bob", 0.1, "direct/tcp", CAROL, "valid", 40), line("ended", "carol", 2.0)]
    found = concluded(report("direct", "tcp"), [*lines, check("bob", 2.01, "direct/tcp", CAROL, "failed")])
    assert [(one.outcome, one.to_ms) for one in found.attempts] == [("valid", 100)]


def demotion(
    node: str, at: float, tried: str, why: str, remote: str = CAROL, lost: int | None = None
) -> dict[str, Any]:
    return line("ranked-down", node, at, tried=tried, remote=remote, why=why, lost_percent=lost)


RELAYED_TOO = [check("bob", 0.1, "relayed/udp via relay-1", "203.0.113.21:33034", "valid", 41.0)]


def test_a_path_that_lost_voice_is_ruled_out_by_what_it_lost() -> None:
    lines = [
        DIALLED,
        check("bob", 0.1, "punched/udp", CAROL, "valid", 40),
        *RELAYED_TOO,
        demotion("bob", 4.2, "punched/udp", "loss", lost=31),
        demotion("carol", 4.3, "punched/udp", "loss", lost=30),
    ]
    assert reason(concluded(report(), lines), "punched/udp") == (
        "ruled out",
        "voice was lost on it: 31 % when bob left it, 4200 ms after dialling",
    )


@pytest.mark.parametrize("tried", ["udp", "punched/udp"])
def test_a_path_that_was_never_used_for_it_is_too_narrow_is_said_to_be(tried: str) -> None:
    lines = [DIALLED, demotion("bob", 0.1, tried, "narrow"), check("bob", 0.2, "punched/udp", CAROL, "valid", 40)]
    found = concluded(report(), [*lines, *RELAYED_TOO])
    assert reason(found, "punched/udp")[1].startswith("UDP was known to carry no voice there")
    assert "no voice" not in reason(found, "direct/udp")[1]


def test_a_leg_at_a_relay_that_was_left_for_tcp_says_so() -> None:
    lines = [
        DIALLED,
        *RELAYED_TOO,
        demotion("bob", 3.0, "relayed/udp via relay-1", "narrow", "203.0.113.21:33034"),
        check("bob", 3.1, "relayed/mixed via relay-1", "203.0.113.21:33034", "valid", 41.0),
    ]
    found = concluded(report("relayed", "mixed"), lines)
    assert "carry no voice" in reason(found, "relayed/udp")[1]


def test_candidates_are_complete() -> None:
    lines = [
        DIALLED,
        line("candidates", "carol", 0.04, candidates=[["predicted", "udp", "203.0.113.34:40363"]]),
        line("relay-offered", "bob", 0.05, relay="relay-1", addresses=["203.0.113.21:33034"]),
        line("met", "bob", 0.06, remote="203.0.113.34:40365"),
    ]
    assert [(one.node, one.kind, one.transport, one.address) for one in concluded(report(), lines).candidates] == [
        ("carol", "predicted", "udp", "203.0.113.34:40363"),
        ("bob", "relayed", "any", "203.0.113.21:33034 of relay-1"),
        ("carol", "peer-reflexive", "udp", "203.0.113.34:40365"),
    ]


def test_candidates_and_moves_are_on_the_calls_own_clock() -> None:
    told = line("candidates", "carol", 0.04, candidates=[["host", "udp", "192.168.34.10:42059"]])
    path = line("path", "bob", 0.5, path={"kind": "relayed", "transport": "udp", "via": "relay-1"})
    found = concluded(report(), [DIALLED, told, path])
    assert [(one.node, one.kind, one.address, one.at_ms) for one in found.candidates] == [
        ("carol", "host", "192.168.34.10:42059", 40)
    ]
    assert found.moves == (("bob", 500, "relayed/udp via relay-1"),)


def test_a_call_that_never_began_has_no_rung_taken() -> None:
    found = concluded({**report(None), "error": "nobody there"}, [DIALLED])
    assert found.path is None and {rung.verdict for rung in found.rungs} == {"ruled out"}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    found = Checkout(tmp_path)
    _, folder = found.new_call()
    (folder / "report.json").write_text(json.dumps(report()))
    (folder / "timeline.jsonl").write_text(json.dumps(DIALLED) + "\n")
    return found


def test_a_call_is_read_from_its_folder_and_one_of_a_matrix_from_the_matrix(checkout: Checkout) -> None:
    assert explain(checkout, "c1").path == "relayed/udp"
    name, folder = checkout.new_matrix()
    checkout.call_folder("c1").rename(folder / f"{name}-3")
    assert explain(checkout, "m1-3").path == "relayed/udp"


@pytest.mark.parametrize("name", ["c9", "m1-1", "../c1", ""])
def test_an_unknown_call_is_refused_and_those_that_are_kept_are_named(checkout: Checkout, name: str) -> None:
    with pytest.raises(ConfigError, match="c1"):
        explain(checkout, name)


def test_a_torn_folder_is_said_to_be_torn(checkout: Checkout) -> None:
    (checkout.call_folder("c1") / "timeline.jsonl").write_text("{")
    with pytest.raises(EvidenceError, match="c1"):
        explain(checkout, "c1")


def test_what_a_firewall_lets_out_is_named_before_who_did_not_answer() -> None:
    """Carol, of these lines, is dave at hotel, which lets no UDP out and gives each peer another TCP port."""
    topology = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})
    relayed = {**report(transport="mixed"), "callee": "dave"}
    lines = [
        DIALLED,
        check("bob", 0.05, "udp", CAROL, "in-progress"),
        check("bob", 0.1, "relayed/mixed via relay-1", "203.0.113.21:33034", "valid", 41.0),
        check("bob", 6.05, "udp", CAROL, "failed"),
    ]
    found = concluded(relayed, lines, topology)
    shut = "hotel (symmetric, udp-blocked) lets no UDP out"
    assert reason(found, "punched/udp") == ("ruled out", f"{shut}; no answer to bob from {CAROL}")
    another = "hotel (symmetric, udp-blocked) gives each peer another port"
    assert reason(found, "punched/tcp") == ("ruled out", f"{another}; neither end tried TCP")
    assert reason(found, "relayed/udp")[1].startswith(f"{shut}; it needs UDP on both legs")


def test_a_network_that_nothing_is_known_of_is_blamed_for_nothing() -> None:
    found = concluded(report(), [DIALLED, check("bob", 0.05, "udp", CAROL, "failed")])
    assert reason(found, "punched/udp")[1] == f"no answer to bob from {CAROL}"
