"""What is kept of a lab as one HTML page: topology, certification, matrix and calls, whose details open at a button.

The page needs no network and no server. Details are in it, deflated and each by itself, so that a browser unpacks the
one that is opened: 1,484 calls are 9 MB, and would be 35 unpacked. Captures are files beside it, for they are a hundred
times as much: half a megabyte a call, which no browser would open.

Belongs here: the page. Never: reading what is kept, or writing files.
"""

import base64
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from lab.harness.call_report import CallReport
from lab.harness.handing import MARK
from lab.harness.matrix import Matrix
from lab.harness.reporting import Reported
from lab.report.certificates import table
from lab.report.heatmap import STYLE, colour, grid, summary
from lab.report.matrix import path_of
from lab.report.topology_svg import svg

_HERE = Path(__file__).parent
_NO_TOPOLOGY = "No topology is kept, and no lab runs: <code>lab up</code>, and make the report again."
_NO_CERTIFICATE = "No certification is kept. It takes a lab that runs: <code>lab certify</code>."
_NO_CALLS = "No call is kept. It takes a lab that runs: <code>lab matrix</code>, or <code>lab call</code>."


def packed(part: str) -> str:
    """A call's details as the page holds them: raw deflate (RFC 1951), base64."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(squeezed.compress(part.encode()) + squeezed.flush()).decode()


def page(found: Reported, details: Mapping[str, str], at: float) -> str:
    """The whole page; `details`: those of each call, packed. `at`: when it was made, epoch seconds."""
    return Template((_HERE / "page.html").read_text()).substitute(
        mark=MARK,
        title="supernode-lab: report",
        style=STYLE.read_text() + (_HERE / "page.css").read_text(),
        made=_when(at),
        torn="".join(f'<p class="wrong">{escape(one)}</p>' for one in found.torn) + _left_out(found),
        topology=_topology(found),
        certification=_certification(found),
        matrix=_matrix(found),
        calls=_calls(found.calls),
        details="\n".join(
            f'<script type="text/plain" id="of-{escape(call, quote=True)}">{text}</script>'
            for call, text in details.items()
        ),
        script=(_HERE / "page.js").read_text(),
    )


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _left_out(found: Reported) -> str:
    if (told := found.left_out) is None:
        return ""
    parts = escape(told[0].upper() + told[1:]).split("`")  # commands stand between those
    return f"<p>{''.join(f'<code>{one}</code>' if n % 2 else one for n, one in enumerate(parts))}.</p>"


def _topology(found: Reported) -> str:
    if found.topology is None:
        return f"<p>{_NO_TOPOLOGY}</p>"
    picture = f'<div class="scroll" tabindex="0" role="region" aria-label="topology">{svg(found.topology)}</div>'
    return f"<p>{escape(found.whence[0].upper() + found.whence[1:])}.</p>{picture}"


def _certification(found: Reported) -> str:
    said = found.certification
    if said is None:
        return f"<p>{_NO_CERTIFICATE}</p>"
    wrong = [site["site"] for site in said["sites"] if not site["agrees"]]
    told = f"not what is claimed: {', '.join(wrong)}" if wrong else "measured as claimed"
    count = f"{len(said['sites'])} site{'s' if len(said['sites']) > 1 else ''}"
    note = f"{_when(said['at'])}: {count} in {said['seconds']:.0f} s, {told}. A cell is what was measured."
    return f"<p>{escape(note)}</p>{table(said)}"


def _matrix(found: Reported) -> str:
    shown = found.matrix or _of_calls(found.calls)
    if shown is None:
        return f"<p>{_NO_CALLS}</p>"
    if found.matrix:
        told = f"{shown.name}: {summary(shown)}"
        told += f" It was interrupted: {shown.pairs} were to call." if shown.interrupted else ""
    else:
        told = "No matrix is kept: the last call of each two that have called."
    note = (
        "A number is the milliseconds from the answer to the first voice, at the worse end. Choose a cell for its call."
    )
    return f"<p>{escape(told)} {note}</p>{grid(shown)}"


def _of_calls(calls: Sequence[CallReport]) -> Matrix | None:
    """The newest call of each pair as the cells of a heat map; each client stands for itself."""
    if not calls:
        return None
    newest = {(one.caller, one.callee): one for one in reversed(calls)}
    clients = {name: name for pair in sorted(newest) for name in pair}
    return Matrix("", clients, tuple(newest.values()), 0.0, {}, Path(), len(newest))


def _calls(calls: Iterable[CallReport]) -> str:
    rows = "".join(map(_call, calls))
    if not rows:
        return ""
    return (
        "<section><h2>Single calls</h2><p>The newest first.</p>"
        '<div class="scroll calls" tabindex="0" role="region" aria-label="calls">'
        f'<table class="plain"><tbody>{rows}</tbody></table></div></section>'
    )


def _call(one: CallReport) -> str:
    call = escape(one.call, quote=True)
    return (
        f'<tr><td><button data-call="{call}">{call}</button></td>'
        f'<th scope="row">{escape(one.caller)} → {escape(one.callee)}</th>'
        f'<td><i class="{colour(one)}"></i>{escape(path_of(one) or "no path")}</td>'
        f'<td class="{"quiet" if one.holds() else "wrong"}">{escape(_how(one))}</td></tr>'
    )


def _how(one: CallReport) -> str:
    if not one.holds():
        return one.error or "; ".join(one.disagreements) or "failed"
    return f"first voice {one.setup_ms.first_media} ms after dialling" if one.setup_ms.first_media is not None else ""
