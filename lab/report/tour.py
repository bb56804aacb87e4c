"""The tour: five calls of the reference lab, in plain words. What is said after a call follows from its report.

Pure. Belongs here: the texts. Never: placing calls, or waiting for keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from lab.evidence.naming import Names
from lab.evidence.passages import Passage
from lab.harness.call_report import CallReport
from lab.report.happening import moments, table
from lab.report.passages import passages, telling
from lab.report.result import result
from lab.topology.model import Topology

WIDTH = 80
Lines = Sequence[Mapping[str, Any]]
_HEARD = {"dialled", "ringing", "met", "guessing", "answered", "path", "first-media", "ranked-down"}
"""Of a call's timeline, what a newcomer has words for; checks are seen as packets."""


@dataclass(frozen=True)
class Stop:
    """One call of the tour. `before` is read before it is placed; `after` says what follows from its report; `next`
    what to try, a command and what it shows each."""

    name: str
    caller: str
    callee: str
    expected: str
    title: str
    before: str
    after: Callable[[CallReport], str]
    next: Callable[[CallReport], Sequence[tuple[str, str]]]


WELCOME = """\
Most computers sit behind a router that hides them: it gives their packets an address of its own, and lets nothing in \
that nobody inside has asked for. Two of them that want to talk have no way to begin. This is a small internet of such \
routers, and a calling system that gets through. You will see five calls; each takes another way.

Who is there: six clients, each behind the router of a site (`lab status` shows them). Two supernodes on open \
addresses, to one of which every client keeps a TCP connection: over it calls are announced. Two relays, for those who \
find no other way. core is the internet between all of them, 10 ms from each site.

A client's address and port, as in 192.168.32.10:40000, is written here as bob:40000; what his router makes of it as \
home wan:40000."""


def _direct(report: CallReport) -> str:
    return (
        "alice's address is her own. Her router changes nothing, and anybody may write to her; so a packet of "
        f"{_other(report, 'alice')} simply arrives. The router of home gives it an outer port and remembers that: what "
        "alice sends back to that port is let in and handed on. One end that can be reached is enough, and nobody "
        "stands between the two. That is a direct path."
    )


def _punched(report: CallReport) -> str:
    return (
        "Each has asked a supernode how its packets look from outside (the STUN questions), and has told the other. "
        "Then both write to that address at once. The first packet to arrive is dropped, since nobody inside has "
        "written there yet. But it has left a mark in its own router: this host expects answers from there. So the "
        "packet from the other side, a few milliseconds later, is let in, and from then on all of them are. That is "
        "hole punching, and voice flows with nobody between."
    )


def _blocked(report: CallReport) -> str:
    paths = [f"{one.kind}/{one.transport}" for one in report.history]
    why = (
        "Office's router takes a new port for every destination. The one that the supernodes saw is for them alone: "
        "what bob sends there is dropped. And the port that carol writes to bob from is one that his router has never "
        "heard of, so it drops that as well. The hole is punched at a place that nobody knows. "
    )
    if paths and paths[0].startswith("relayed") and paths[-1].startswith("punched"):
        moved = report.history[-1].from_ms / 1000
        return why + (
            f"The call began all the same, through {report.history[0].via}: a relay that both can write to, and "
            "that hands packets on. Meanwhile the two went on: carol opened many ports, bob tried many, until one of "
            f"his met one of hers. After {moved:.1f} s voice moved there, and nobody heard a difference."
        )
    if paths and paths[-1].startswith("relayed"):
        return why + (
            f"So the call goes through {report.history[-1].via}: a relay that both can write to, and that hands "
            "packets on. The two have tried to meet on some port by trying many, and have not."
        )
    return why + "This time the two met on a port that they had guessed before the call was answered."


def _tcp(report: CallReport) -> str:
    return (
        "Hotel's router lets no UDP out: each such packet of dave ends there, the question to the supernode as well. "
        "TCP that is opened from inside it lets out, as it must for the web. So dave opens a connection to alice, who "
        "can be reached, and voice goes over that, whoever of the two has called. It is the second choice: when a "
        "packet is lost, TCP holds back all that follow until it has been sent again."
    )


def _relayed(report: CallReport) -> str:
    via = report.observed.via if report.observed else None
    return (
        "Neither lets UDP out, and neither can be reached: all that both can do is to open TCP to somebody on an open "
        f"address, from the bank to port 443 alone. So both do, to {via or 'the same relay'}, and it hands on what it "
        "gets. It cannot listen: the voice is encrypted with keys that only the two have. This always works, and costs "
        "somebody else's line and one more hop, which is why it is the last choice."
    )


def _other(report: CallReport, name: str) -> str:
    return report.callee if report.caller == name else report.caller


STOPS = (
    Stop(
        "direct",
        "bob",
        "alice",
        "direct/udp",
        "a direct path",
        "bob, at home behind an ordinary router, calls alice, who sits in a park with public addresses.",
        _direct,
        lambda report: (
            (f"lab explain {report.call}", "all that both had to offer, and what was tried"),
            ("lab nat home", "what bob's router remembers of this call"),
        ),
    ),
    Stop(
        "punched",
        "bob",
        "frank",
        "punched/udp",
        "a hole is punched",
        "bob calls frank, who sits in a flat behind a router like bob's. Both are hidden: neither can be written to "
        "by somebody that he has not written to first.",
        _punched,
        lambda report: (
            ("lab nat home --watch", "in one terminal, and in another:"),
            ("lab call bob frank --seconds 20", "see the mapping appear, and expire two minutes later"),
        ),
    ),
    Stop(
        "blocked",
        "bob",
        "carol",
        "punched/udp",
        "a symmetric router is in the way",
        "bob calls carol, at an office whose router is symmetric: it gives a host another outer port for everybody "
        "that it writes to.",
        _blocked,
        lambda report: (
            ("lab set home --profile symmetric", "now both are, and ports are guessed in vain:"),
            ("lab call bob carol", "it stays at the relay; `lab up` puts home back"),
        ),
    ),
    Stop(
        "outgoing-tcp",
        "dave",
        "alice",
        "direct/tcp",
        "outgoing TCP",
        "dave, in a hotel whose firewall lets no UDP out, calls alice in the park.",
        _tcp,
        lambda report: (
            ("lab call alice dave", "who has called makes no difference"),
            ("lab set home --firewall udp-blocked", "the same at bob's, then `lab call bob alice`, then `lab up`"),
        ),
    ),
    Stop(
        "relayed",
        "dave",
        "erin",
        "relayed/tcp",
        "a relay",
        "dave calls erin, in a bank that lets nothing out but TCP to port 443. Neither can be reached, and neither has "
        "UDP.",
        _relayed,
        lambda report: (
            (f"lab kill {_via(report)}", "the relay that carried it; then"),
            ("lab call dave erin", f"the other one takes over; `lab start {_via(report)}` brings it back"),
        ),
    ),
)


def _via(report: CallReport) -> str:
    return (report.observed.via if report.observed else None) or "relay-1"


def welcome() -> RenderableType:
    """What comes first."""
    return Group(Rule(Text("a tour in five calls", "bold"), align="left"), Text(), *_prose(WELCOME))


def before(stop: Stop, number: int, of: int) -> RenderableType:
    """What is read before a call is placed."""
    return Group(
        Rule(Text(f"{number} of {of}  {stop.title}", "bold"), align="left"),
        Text(),
        *_prose(stop.before),
        Text.assemble("$ ", (f"lab call {stop.caller} {stop.callee}", "bold")),
    )


def packets(
    stop: Stop, report: CallReport, topology: Topology, folder: Path, lines: Lines, found: Sequence[Passage] | None
) -> RenderableType:
    """The result as the command shows it, and the packets that say something, each with what became of it; without
    them (None) where they were told while they passed."""
    parts: list[RenderableType] = [result(report, topology, folder, None), Text()]
    first = {str(line["event"]): float(line["at"]) for line in reversed(lines)}
    dialled = first.get("dialled")
    if dialled is not None:
        told = telling(found or (), report, topology, first.get("first-media", float("inf")))
        if told:
            parts += [Text("the packets that matter, ms after dialling", "dim"), passages(told, dialled), Text()]
        heard = [one for one in moments(lines, Names(topology).text) if one.event in _HEARD]
        parts += [Text("and what the two said of it", "dim"), table(heard)]
    return Group(*parts)


def after(stop: Stop, report: CallReport) -> RenderableType:
    """What has happened, and what to try next."""
    parts: list[RenderableType] = [Text()]
    seen = f"{report.observed.kind}/{report.observed.transport}" if report.observed else None
    if not report.holds() or seen is None:
        why = report.error or "; ".join(report.disagreements) or "it did not connect"
        parts += _prose(f"This call failed, and should not have: {why}. `lab doctor` says what this machine lacks.")
    else:
        if seen.partition("/")[0] != stop.expected.partition("/")[0] and stop.name != "blocked":
            parts += _prose(
                f"It took {seen}, where {stop.expected} was expected; `lab explain {report.call}` says why."
            )
        parts += _prose(stop.after(report))
    parts += [Text("to try next", "dim"), *_commands(stop.next(report))]
    return Group(*parts)


def goodbye() -> RenderableType:
    """What comes last."""
    more = (
        ("lab matrix --html matrix.html", "every pair of networks at once"),
        ("lab certify home office", "that the routers are what they are said to be"),
        ("lab simulate outage-2010", "what becomes of a crowd when supernodes crash"),
    )
    return Group(
        Rule(Text("that is all of it", "bold"), align="left"),
        Text(),
        *_prose(
            "Always the same order: direct before punched before relayed, UDP before TCP; everything is tried at once "
            "while it rings, and a call starts on what works and moves when something better does."
        ),
        *_commands(more),
    )


def _prose(text: str) -> list[RenderableType]:
    return [part for one in text.split("\n\n") for part in (Text(one), Text())]


def _commands(found: Sequence[tuple[str, str]]) -> list[RenderableType]:
    """A command, and what it shows: beside it where that fits, else below."""
    rows: list[RenderableType] = []
    for command, shows in found:
        if len(command) + len(shows) + 8 <= WIDTH:
            rows.append(Text.assemble("  $ ", (command, "bold"), f"    {shows}"))
        else:
            rows += [Text.assemble("  $ ", (command, "bold")), Text(f"      {shows}")]
    return rows
