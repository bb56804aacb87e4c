"""Packets on their way, in words: who to whom, what it was, and what each router made of it.

Belongs here: wording, and which packets of a call say something. Never: recognising them.
"""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.evidence.passages import Kind, Passage, kinds
from lab.harness.call_report import CallReport
from lab.topology.model import Topology

_SAYING = {"STUN question", "STUN check", "STUN answer", "request for a leg", "voice", "TCP SYN", "TCP data"}


def telling(found: Iterable[Passage], report: CallReport, topology: Topology, talking: float) -> list[Kind]:
    """The first packet of each kind between the two ends, with the relay that carried them, and with one supernode.

    A connection that is opened later than `talking` (epoch seconds, the first voice) is for another time.
    """
    people = {report.caller, report.callee}
    people |= {f"{topology.node(name).site} wan" for name in people}
    relays = {stretch.via for stretch in report.history if stretch.via}
    asked: dict[str, str] = {}

    def wanted(one: Passage) -> bool:
        source, destination = one.ends
        if one.what not in _SAYING or (one.what == "TCP SYN" and one.at > talking):
            return False
        if one.what == "STUN question":  # of several supernodes, the one that was asked first
            return source in people and asked.setdefault(source, destination) == destination
        if {source, destination} <= people:
            return True
        return one.what != "STUN answer" and source in people and destination in relays

    once: set[object] = set()
    chosen = []
    for kind in kinds(found, wanted):
        one = kind.first
        key: object = "lost" if one.lost else "answer" if one.what == "STUN answer" else kind
        if key not in once:
            once.add(key)
            chosen.append(kind)
    return chosen


def passages(found: Sequence[Kind], dialled: float) -> RenderableType:
    """A row each: when, who to whom, what; and below it what became of it."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for kind in found:
        one = kind.first
        more = f"  and {kind.number - 1:,} like it" if kind.number > 1 else ""
        head = Text.assemble((one.source, "bold"), " → ", (one.destination, "bold"), f"  {one.what}", (more, "dim"))
        fared = Text(fate(one), "yellow" if one.dropped_at or one.lost or one.cause else "")
        table.add_row(Text(f"{(one.at - dialled) * 1000:>7.0f} ms", "dim"), Group(head, fared))
    return table


def fate(one: Passage) -> str:
    """What became of a packet, router by router."""
    words = []
    source, destination = one.source, one.destination
    for number, step in enumerate(one.steps):
        if step.source is None or step.destination is None:
            likely = "nobody inside has asked for it" if number else "it lets no such packet out"
            words.append(_dropped(step.router, one, likely))
            break
        if step.source == destination:
            words.append(f"{step.source.partition(':')[0]} passes it on; {step.router} hands it to {step.destination}")
        elif step.source != source:
            words.append(f"{step.router} sends it on as {step.source}")
        elif step.destination != destination:
            words.append(f"{step.router} hands it to {step.destination}")
        else:
            words.append(f"{step.router} lets it pass")
        source, destination = step.source, step.destination
    if one.lost:
        words.append("out there nobody has that address")
    elif one.cause and one.cause.kind == "line" and not one.dropped_at:
        words.append("it is lost on the line")
    return "; ".join(words) or "nobody changes it"


def _dropped(router: str, one: Passage, likely: str) -> str:
    """What stands to reason, with the rule that has counted it; or that the line to its router lost it."""
    if one.cause is None:
        return f"{router} drops it: {likely}"
    if one.cause.kind == "counted":
        return f"{router} drops it: {likely} (counted: {one.cause})"
    return "it is lost on the line" if one.cause.kind == "line" else f"{router} passes it on to nobody: {one.cause}"
