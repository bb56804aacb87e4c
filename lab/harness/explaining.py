"""Why a call took its path: what each end had to offer, what was tried and what came of it, and what better was out.

Read from the call's evidence folder alone, so it can be asked long after. Belongs here: reading and concluding.
Never: packets (the judge has had them), or how it looks.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.errors import ConfigError
from lab.evidence.whole import Setting
from lab.harness.barriers import barriers, shut
from lab.harness.chapters import RUNGS, Chapter, Line, Story, Way, milliseconds, over, shown, stories, way
from lab.harness.checkout import Checkout
from lab.harness.kept import told
from lab.topology.model import Topology

INTERRUPTED = "interrupted"
"""The error of a call that its user broke off."""
LEFT, NO_MORE = "it worked, and was left for another", "it worked, and does no more"
UNANSWERED = "nobody had answered when the call was over"


@dataclass(frozen=True)
class Offered:
    """A candidate of an end: told to the other (RFC 8445, 5.1), met by it though nobody had told (`peer-reflexive`), or
    the session at a relay that the end was offered (`relayed`, over any transport)."""

    node: str
    kind: str
    transport: str
    address: str
    at_ms: int


@dataclass(frozen=True)
class Attempt:
    """One way that an end tried: towards which address, as what, from when to when (ms since the call was dialled), and
    what came of it: `valid`, `failed`, or `in-progress` where the call was over first. `path`: what it turned out as.
    """

    node: str
    transport: str
    remote: str
    from_ms: int
    to_ms: int | None
    outcome: str
    path: str | None
    rtt_ms: float | None


@dataclass(frozen=True)
class Rung:
    """A path of the table: `taken`, `ruled out` (better than the one taken), `not needed` (worse), or `worked`, of a
    call that took none. Why, in words; what befell it in the course of the call, and how many chapters of that are left
    out in the middle."""

    path: str
    verdict: str
    reason: str
    story: tuple[Chapter, ...] = ()
    untold: int = 0


@dataclass(frozen=True)
class Explanation:
    """Everything of it. `path` is what the packets showed, else what the clients said, of a call that broke off what it
    was on last; None: it never connected."""

    call: str
    caller: str
    callee: str
    path: str | None
    error: str | None
    candidates: tuple[Offered, ...]
    attempts: tuple[Attempt, ...]
    moves: tuple[tuple[str, int, str], ...]
    """Node, ms since dialling, and the path that its voice was on from then on."""
    guesses: tuple[str, ...]
    rungs: tuple[Rung, ...]

    def to_json(self) -> dict[str, Any]:
        """The document of `lab explain --json`."""
        return {
            "call": self.call,
            "caller": self.caller,
            "callee": self.callee,
            "path": self.path,
            "error": self.error,
            "candidates": [asdict(one) for one in self.candidates],
            "attempts": [asdict(one) for one in self.attempts],
            "moves": [{"node": node, "at_ms": at, "path": path} for node, at, path in self.moves],
            "guesses": list(self.guesses),
            "rungs": [asdict(one) for one in self.rungs],
        }


def explain(checkout: Checkout, call: str) -> Explanation:
    """Raises ConfigError naming the calls that are kept where this one is not, RecordTorn where it is torn."""
    folder = checkout.kept(call)
    return concluded(*told(folder), networks(folder))


def networks(folder: Path) -> Topology | None:
    """Where the two of a kept call stood; None of one that broke off before that was kept."""
    try:
        return Setting.parse(json.loads((folder / "setting.json").read_text())).topology
    except (OSError, ValueError, ConfigError):
        return None


def concluded(report: Mapping[str, Any], lines: Sequence[Line], topology: Topology | None = None) -> Explanation:
    """What follows from a call's report and the lines of its timeline; `topology`: where the two stood."""
    ends = (str(report["caller"]), str(report["callee"]))
    told = [line for line in lines if line.get("node") in ends]
    dialled = next((line["at"] for line in told if line["event"] == "dialled"), told[0]["at"] if told else 0.0)
    seen = report.get("observed") or report.get("path") or next(reversed(report.get("history") or ()), None)
    failed = report.get("error") not in (None, INTERRUPTED)
    path = f"{seen['kind']}/{seen['transport']}" if seen else None
    by = f"{path} via {seen['via']}" if seen and seen.get("via") else path
    tried, happened = tuple(_attempts(told, dialled)), stories(told, dialled)
    return Explanation(
        call=str(report["call"]),
        caller=ends[0],
        callee=ends[1],
        path=path,
        error=report.get("error"),
        candidates=tuple(_offered(told, dialled, ends)),
        attempts=tried,
        moves=tuple(
            (line["node"], milliseconds(line, dialled), shown(line["path"]))
            for line in told
            if line["event"] == "path" and line.get("path")
        ),
        guesses=tuple(_guesses(told)),
        rungs=tuple(
            replace(rung, story=befell.chapters, untold=befell.untold)
            for rung in _rungs(path, by, tried, told, dialled, failed, _barred(topology, ends))
            for befell in [happened.get(rung.path, Story())]
        ),
    )


def _barred(topology: Topology | None, ends: tuple[str, str]) -> dict[str, str]:
    """What stands against each rung, as far as the two networks' settings say; "" where nothing does."""
    if topology is None:
        return {}
    found = {}
    for rung in RUNGS:
        kind, transport = rung.split("/")
        if kind == "relayed":  # a relay answers whoever reaches it: what counts is what gets out
            found[rung] = "; ".join(shut(topology, ends, "udp")) if transport != "tcp" else ""
        else:
            found[rung] = "; ".join(barriers(topology, ends, transport))
    return found


def _offered(lines: Iterable[Line], dialled: float, ends: tuple[str, str]) -> Iterable[Offered]:
    for line in lines:
        node, at = line["node"], milliseconds(line, dialled)
        match line["event"]:
            case "candidates":
                for kind, transport, address in line["candidates"]:
                    yield Offered(node, kind, transport, address, at)
            case "relay-offered":
                for address in line["addresses"]:
                    yield Offered(node, "relayed", "any", f"{address} of {line['relay']}", at)
            case "met":
                yield Offered(ends[1] if node == ends[0] else ends[0], "peer-reflexive", "udp", line["remote"], at)


def _attempts(lines: Iterable[Line], dialled: float) -> list[Attempt]:
    """The checks of each end put together by way: the first word of one, and its last change of state.

    What worked and was closed because the call was over has not failed.
    """
    lines = list(lines)
    at_the_end = over(lines)
    found: dict[Way, Attempt] = {}
    for line in lines:
        if line["event"] not in ("check", "connecting"):
            continue
        tried, state, key = str(line.get("tried", "tcp")), str(line["state"]), way(line)
        at = milliseconds(line, dialled)
        before = found.get(key)
        if before and before.outcome == "valid" and float(line["at"]) >= at_the_end:
            continue
        path = tried if state == "valid" else before.path if before else None
        outcome = before.outcome if before and state == "in-progress" else state
        found[key] = Attempt(
            line["node"],
            key[1],
            line["remote"],
            before.from_ms if before else at,
            at if state != "in-progress" else before.to_ms if before else None,
            outcome,
            path,
            line.get("rtt_ms") or (before.rtt_ms if before else None),
        )
    return sorted(found.values(), key=lambda one: one.from_ms)


def _guesses(lines: Iterable[Line]) -> Iterable[str]:
    for line in lines:
        if line["event"] == "guessing" and not line.get("under_way"):
            yield f"{line['node']} ({line['part']}): {line['sent']} packets, {line['sockets']} sockets"


def _rungs(
    path: str | None,
    by: str | None,
    tried: Sequence[Attempt],
    lines: Sequence[Line],
    dialled: float,
    failed: bool,
    barred: Mapping[str, str],
) -> Iterable[Rung]:
    """`by`: the path with its relay. `failed`: in the end no path worked, neither the last one that was taken nor a
    worse one. `barred`: by rung, what the two networks put in its way."""
    taken = RUNGS.index(path) if path in RUNGS else len(RUNGS)
    for number, rung in enumerate(RUNGS):
        if number == taken:
            yield Rung(rung, "taken", _why_taken(rung, by, tried) + (", and it worked no more" if failed else ""))
        elif number > taken and not failed:
            yield Rung(rung, "not needed", "a better one works")
        else:
            works = NO_MORE if number > taken else _what_became(rung, lines)
            demoted = _demoted(rung, tried, lines, dialled) if number < taken else None
            reason = demoted or _why_not(rung, path, tried, lines, barred.get(rung, ""), works)
            yield Rung(rung, "worked" if path is None and reason == works else "ruled out", reason)


def _what_became(rung: str, lines: Sequence[Line]) -> str:
    """Of a path that worked, and was not what the call ended on as far as the packets show."""
    voices: dict[str, list[str]] = {}
    for line in lines:
        if line["event"] == "path" and line.get("path"):
            voices.setdefault(line["node"], []).append(shown(line["path"]).partition(" via ")[0])
    if any(rung in paths and paths[-1] != rung for paths in voices.values()):
        return LEFT
    last = [node for node, paths in voices.items() if paths[-1] == rung]
    if last:
        return f"it worked, and was the last that the voice of {' and of '.join(last)} went out on"
    if not any(line["event"] == "answered" for line in lines) and not voices:
        return UNANSWERED
    return "it worked, and was not taken"


def _why_taken(rung: str, by: str | None, tried: Sequence[Attempt]) -> str:
    """The first answer by the relay that it went through, where it went through one."""
    works = [one for one in tried if one.path and one.path.partition(" via ")[0] == rung]
    if not works:
        return "what the packets show"
    best = min(works, key=lambda one: (one.path != by, one.to_ms or 0))
    rtt = f", round trip {best.rtt_ms:g} ms" if best.rtt_ms is not None else ""
    return f"{best.node} had the first answer of {best.remote} after {best.to_ms} ms{rtt}"


_DEMOTIONS = {
    "loss": "voice was lost on it: {lost} when {node} left it, {at} ms after dialling",
    "narrow": "UDP was known to carry no voice there: {node} ranked it last, {at} ms after dialling",
    "silent": "it fell silent, and {node} left it {at} ms after dialling",
    "leaving": "its relay was about to end, as it told {node} {at} ms after dialling",
}


def _demoted(rung: str, tried: Sequence[Attempt], lines: Sequence[Line], dialled: float) -> str | None:
    """What ranked a path of this rung below every other, in the words of whoever noticed first; None if nothing did."""
    of_rung = {one.remote for one in tried if one.path == rung}
    for line in lines:
        if line["event"] != "ranked-down":
            continue
        name = str(line["tried"]).partition(" via ")[0]
        if name == rung or (name == rung.partition("/")[2] and line["remote"] in of_rung):
            lost = "much" if line.get("lost_percent") is None else f"{line['lost_percent']} %"
            return _DEMOTIONS[line["why"]].format(lost=lost, node=line["node"], at=milliseconds(line, dialled))
    return None


def _why_not(
    rung: str, path: str | None, tried: Sequence[Attempt], lines: Sequence[Line], barred: str, works: str
) -> str:
    """What stood against a better rung: another kind on the same transport, no answer, or no attempt; and what in the
    two networks is behind that. `works`: the words for one that worked and has not failed."""
    kind, transport = rung.split("/")
    if kind == "relayed":
        reason = _no_such_legs(transport, tried, works)
        return reason if reason == works or not barred else f"{barred}; {reason}"
    ways = [one for one in tried if one.transport == transport]
    worked = [one for one in ways if one.path]
    if worked:
        by_it = [one for one in worked if one.path == rung]
        if by_it:
            lost = [one for one in by_it if one.outcome == "failed"]
            return f"it worked for {lost[0].node}, and failed later" if lost else works
        if worked[0].path == path and kind == "direct":
            return "both ends are translated by a router, so what works is punched"
        return f"what works over {transport.upper()} between the two is {worked[0].path}"
    if not ways:
        if barred:
            return f"{barred}; neither end tried {transport.upper()}"
        return f"neither end tried {transport.upper()}: neither had an address for it that the other could reach"
    before = f"{barred}; " if barred else ""
    guessed = [line for line in lines if line["event"] == "guessing" and not line.get("under_way")]
    if transport == "udp" and guessed:
        sent = sum(int(line.get("sent") or 0) for line in guessed)
        return f"{before}{_unanswered(ways)}, and {sent} guesses of ports met nobody"
    return f"{before}{_unanswered(ways)}"


def _unanswered(ways: Sequence[Attempt]) -> str:
    by_node: dict[str, list[Attempt]] = {}
    for one in ways:
        by_node.setdefault(one.node, []).append(one)
    return "; ".join(
        f"no answer to {node} from {', '.join(dict.fromkeys(one.remote for one in own))}"
        for node, own in by_node.items()
    )


def _no_such_legs(transport: str, tried: Sequence[Attempt], works: str) -> str:
    ways = {str(one.path).partition(" via ")[0] for one in tried if one.transport == "relay" and one.path}
    if f"relayed/{transport}" in ways:
        return works
    if not ways:
        return "no relay answered"
    both = "both legs" if transport == "udp" else "one leg"
    return f"it needs UDP on {both}; what works at the relay is {', '.join(sorted(ways))}"
