"""One call as a part of the page: verdict, why that path, curve, ladder, timeline, captures; what is missing says so.

Belongs here: layout. Never: files beside the page, or deciding anything; the report says it all.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from lab.evidence.ladder import Ladder
from lab.evidence.naming import Names
from lab.harness.call_report import CallReport, Media
from lab.harness.explaining import concluded, networks
from lab.report.happening import moments
from lab.report.ladder_svg import svg
from lab.report.quality_svg import curves
from lab.topology.model import Topology

_FIGURES = ("sent", "heard", "lost", "jitter", "round trip", "mouth to ear", "MOS")
_KIB = 1024


def details(
    report: CallReport,
    lines: Sequence[Any],
    ladder: Ladder | str,
    captures: Sequence[tuple[str, int]] | str,
    topology: Topology | None,
) -> str:
    """The whole part. `ladder` and `captures`: a sentence where there is none; else (relative name, bytes) each."""
    parts = [_headline(report), _verdict(report), _figures(report)]
    curve = curves(lines, (report.caller, report.callee))
    parts.append(_part("Quality", curve or _none("too short for a curve: clients tell of their voice once a second")))
    drawn = ladder if isinstance(ladder, str) else svg(ladder)
    parts.append(
        _part(
            "Ladder",
            _none(drawn) if isinstance(ladder, str) else f'<div class="ladder"><template>{drawn}</template></div>',
        )
    )
    parts += [_part("Why this path", _why(report, lines)), _part("Timeline", _timeline(lines, topology))]
    parts.append(_part("Captures", _captures(captures)))
    return "".join(parts)


def _part(title: str, content: str) -> str:
    return f"<section><h3>{title}</h3>{content}</section>"


def _none(why: str) -> str:
    return f'<p class="none-there">{escape(why)}</p>'


def _headline(report: CallReport) -> str:
    told = f"{report.caller} → {report.callee}, call {report.call}: {report.observed or 'no path'}"
    return f"<h2>{escape(told)}</h2>"


def _verdict(report: CallReport) -> str:
    seen, times = report.observed, report.setup_ms
    told = (
        [f"{seen.packets} packets {'agree' if report.agrees else 'do not agree'} with what the clients say"]
        if seen
        else []
    )
    words = (
        ("rang", times.ringing),
        ("answered", times.answered),
        ("first voice", times.first_media),
        ("best path", times.best_path),
    )
    took = ", ".join(f"{what} {at} ms" for what, at in words if at is not None)
    told += [f"{took} after dialling"] if took else []
    told += [
        f"{one.from_ms} to {one.to_ms} ms: {one}{'' if one.agrees else ', the packets disagree'}"
        for one in report.history
    ]
    told += [f"{one.from_ms} to {one.to_ms} ms: on hold" for one in report.on_hold]
    told += [f"{one.contact} shows {one.node} another key than before" for one in report.keys_changed]
    if agree := [one.name for one in report.witnesses if one.agrees]:
        told.append(f"witnesses that agree: {', '.join(agree)}")
    told += [f"{one.name} {one.said}" for one in report.witnesses if one.agrees is None]
    told += [f"the capture at {node} dropped {count} packets" for node, count in report.dropped_by_captures.items()]
    wrong = [report.error] if report.error else []
    wrong += report.disagreements
    return "".join(f'<p class="wrong">{escape(words)}</p>' for words in wrong) + _list(told)


def _list(words: Iterable[str]) -> str:
    return f'<ul class="facts">{"".join(f"<li>{escape(one)}</li>" for one in words)}</ul>'


def _figures(report: CallReport) -> str:
    if not report.media:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", *_FIGURES))
    rows = "".join(
        f'<tr><th scope="row">{escape(end)}</th>{"".join(f"<td>{escape(word)}</td>" for word in _media(media))}</tr>'
        for end, media in report.media.items()
    )
    return _scroll(
        f'<table class="plain figures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>', "figures"
    )


def _media(media: Media) -> tuple[str, ...]:
    figures = ((media.jitter_ms, " ms"), (media.rtt_ms, " ms"), (media.mouth_to_ear_ms, " ms"), (media.mos, ""))
    counts = (str(media.sent), str(media.received), str(media.lost))
    return (*counts, *("—" if value is None else f"{value:.1f}{unit}" for value, unit in figures))


def _why(report: CallReport, lines: Sequence[Any]) -> str:
    if not lines:
        return _none("no timeline is kept of this call")
    rows = "".join(
        f'<tr><th scope="row">{escape(rung.path)}</th><td>{escape(rung.verdict)}</td>'
        f'<td class="quiet">{escape(rung.reason)}</td></tr>'
        for rung in concluded(report.to_json(), lines, networks(report.evidence)).rungs
        if rung.verdict != "not needed"
    )
    return _scroll(f'<table class="plain"><tbody>{rows}</tbody></table>', "why this path")


def _timeline(lines: Sequence[Any], topology: Topology | None) -> str:
    naming = Names(topology).text if topology else str
    rows = "".join(
        f'<tr><td class="ms">{one.at_ms}</td><th scope="row">{escape(one.node)}</th><td>{escape(one.words)}</td></tr>'
        for one in moments(lines, naming)
    )
    if not rows:
        return _none("no timeline is kept of this call")
    head = '<thead><tr><th class="ms">ms</th><th>who</th><th>what</th></tr></thead>'
    return _scroll(f'<table class="plain">{head}<tbody>{rows}</tbody></table>', "timeline")


def _scroll(table: str, name: str) -> str:
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">{table}</div>'


def _captures(found: Sequence[tuple[str, int]] | str) -> str:
    if isinstance(found, str) or not found:
        return _none(found if isinstance(found, str) and found else "no capture of this call is kept")
    links = (
        f'<li><a href="{escape(name, quote=True)}" download>{escape(name.rpartition("/")[2])}</a> '
        f'<span class="quiet">{size / _KIB:,.0f} KiB</span></li>'
        for name, size in found
    )
    return f'<ul class="facts">{"".join(links)}</ul>'
