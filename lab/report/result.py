"""The result of a call in one block: verdict, picture of the path, times, quality, and where the evidence lies.

Belongs here: wording and layout. Never: deciding anything; the report says it all.
"""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.harness.call_report import CallReport, Hold, Stretch, Witness
from lab.report.route import picture
from lab.topology.model import Topology


def result(report: CallReport, topology: Topology | None, folder: Path | str, expected: str | None) -> RenderableType:
    """Everything that a person wants to know of a call that is over; without a topology there is no picture."""
    parts: list[RenderableType] = [_headline(report)]
    if missed := report.missed(expected):
        parts.append(Text(f"  {missed}", "bad"))
    seen = report.observed or report.path
    if seen and topology:
        parts.append(Text.from_markup("  " + picture(topology, report.caller, report.callee, seen)))
    if report.error:
        parts.append(Text(f"  {report.error}", "bad"))
    parts += [Text(f"  {sentence}", "bad") for sentence in report.disagreements]
    parts += [
        Text(f"  {one.contact} shows {one.node} another key than before: is it still the same {one.contact}?", "yellow")
        for one in report.keys_changed
    ]
    lines = {**(_stretches(report.history) if len(report.history) > 1 else {}), **_holds(report.on_hold)}
    parts += [_times(report), *(lines[at] for at in sorted(lines))]
    if report.media:
        parts.append(_quality(report))
    parts += _witnesses(report.witnesses)
    for node, number in report.dropped_by_captures.items():
        parts.append(Text(f"  the capture at {node} dropped {number} packets", "yellow"))
    parts.append(Text(f"  evidence: {folder}", "dim"))
    return Group(*parts)


def _headline(report: CallReport) -> Text:
    names = Text.assemble((report.caller, "bold"), " → ", (report.callee, "bold"), f"  call {report.call}  ")
    if not report.connected:
        return names.append("not connected", "bad")
    if report.observed is None:
        return names.append("connected, without a verdict", "bad")
    names.append(f"{report.observed.kind}/{report.observed.transport}", f"bold {report.observed.kind}")
    if report.observed.via:
        names.append(f" via {report.observed.via}", report.observed.kind)
    verb = "agree" if report.agrees else "DISAGREE"
    return names.append(f"  {report.observed.packets} packets {verb}", "good" if report.agrees else "bad")


def _times(report: CallReport) -> RenderableType:
    setup = report.setup_ms
    words = [("rang", setup.ringing), ("answered", setup.answered), ("first voice", setup.first_media)]
    if setup.best_path is not None and setup.best_path != setup.first_media:
        words.append(("best path", setup.best_path))
    told = ", ".join(f"{what} {at} ms" for what, at in words if at is not None)
    return Padding.indent(Text(f"{told} after dialling" if told else "nothing was heard of the callee"), 2)


Lines = dict[tuple[int, int, int], Text]
"""By from when to when, ms; two that begin and end together keep their order."""


def _stretches(history: tuple[Stretch, ...]) -> Lines:
    return {
        (stretch.from_ms, stretch.to_ms, number): Text.assemble(
            f"  {stretch.from_ms:>6} to {stretch.to_ms:>6} ms  ",
            (f"{stretch.kind}/{stretch.transport}", stretch.kind),
            f" via {stretch.via}" if stretch.via else "",
            ("" if stretch.agrees else "  the packets disagree", "bad"),
        )
        for number, stretch in enumerate(history)
    }


def _holds(holds: tuple[Hold, ...]) -> Lines:
    return {
        (hold.from_ms, hold.to_ms, -1 - number): Text.assemble(
            f"  {hold.from_ms:>6} to {hold.to_ms:>6} ms  on hold",
            ("" if hold.agrees else "  ends or packets disagree", "bad"),
        )
        for number, hold in enumerate(holds)
    }


def _witnesses(found: tuple[Witness, ...]) -> list[RenderableType]:
    """Who agrees, in one line; who does not has had a line of its own, and why one cannot know is in the report."""
    sorts = ((True, "agree"), (False, "DISAGREE"), (None, "absent"))
    named = [(words, list(dict.fromkeys(one.name for one in found if one.agrees is agrees))) for agrees, words in sorts]
    told = "; ".join(f"{words}: {', '.join(names)}" for words, names in named if names)
    return [Padding.indent(Text(told, "dim"), 2)] if told else []


def _quality(report: CallReport) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("  ")
    for column in ("sent", "heard", "lost", "jitter", "round trip", "mouth to ear", "MOS"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, media in report.media.items():
        table.add_row(
            f"  {name}",
            str(media.sent),
            str(media.received),
            str(media.lost),
            _figure(media.jitter_ms, " ms"),
            _figure(media.rtt_ms, " ms"),
            _figure(media.mouth_to_ear_ms, " ms"),
            _figure(media.mos, ""),
        )
    return table


def _figure(value: float | None, unit: str) -> str:
    return "—" if value is None else f"{value:.1f}{unit}"
