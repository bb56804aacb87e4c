"""A matrix as one HTML page: a heat map that needs no network, in light and dark, on wide screens and on telephones.

Belongs here: the page. Never: verdicts; they come with the cells.
"""

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from lab.harness.call_report import CallReport
from lab.harness.chapters import RUNGS
from lab.harness.matrix import Matrix
from lab.report.matrix import CODES, path_of

_TEMPLATE = Path(__file__).with_name("heatmap.html")
STYLE = Path(__file__).with_name("heatmap.css")
"""Colours and the grid's layout, for every page that holds one."""


def page(found: Matrix) -> str:
    """The whole page; every cell can be opened to see its setup, its stretches and where its evidence lies."""
    told: dict[str, Any] = {cell.call: _told(cell) for cell in found.cells}
    return Template(_TEMPLATE.read_text()).substitute(
        style=STYLE.read_text(),
        title=title(found),
        summary=escape(summary(found)),
        grid=grid(found),
        data=json.dumps(told).replace("</", "<\\/"),
    )


def title(found: Matrix) -> str:
    """What it is, in a line."""
    return f"{len(set(found.sites.values()))} networks, every pair in both directions"


def summary(found: Matrix) -> str:
    """How it went, in a sentence."""
    count, failed = len(found.cells), len(found.failed)
    verdict = f"{failed} of them failed" if failed else "clients and packets agree on every path"
    took = f" in {found.seconds:.0f} s" if found.seconds else ""
    return f"{count:,} calls{took}: {verdict}."


def grid(found: Matrix) -> str:
    """The legend and the table, styled by STYLE: a button for each call, which bears its number."""
    sites = list(found.sites.values())
    names = {client: site if sites.count(site) == 1 else client for client, site in found.sites.items()}
    cells = {(cell.caller, cell.callee): cell for cell in found.cells}
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names.values())
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(_cell(cells.get((caller, callee))) for callee in names)
        + "</tr>"
        for caller, name in names.items()
    )
    return (
        f'<ul class="legend">{"".join(_legend(found))}</ul>\n'
        '<div class="scroll" tabindex="0" role="region" aria-label="matrix">\n'
        f'<table class="heat"><thead><tr><th>caller ↓ callee →</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>\n</div>"
    )


def colour(cell: CallReport) -> str:
    """The class in STYLE that it is painted with."""
    path = path_of(cell)
    return CODES[path] if path and cell.holds() else "bad"


def _cell(cell: CallReport | None) -> str:
    if cell is None:
        return '<td class="none"></td>'
    took = cell.setup_ms.first_voice
    label = f"{cell.caller} calls {cell.callee}: {path_of(cell) or 'failed'}"
    word = "" if took is None else str(took)
    kind = colour(cell)
    word = word if kind != "bad" else "✗"
    title = escape(label, quote=True)
    call = escape(cell.call, quote=True)
    button = f'<button data-call="{call}" title="{title}" aria-label="{title}">{word}</button>'
    return f'<td class="{kind}">{button}</td>'


def _legend(found: Matrix) -> list[str]:
    counts = {path: sum(path_of(cell) == path and cell.holds() for cell in found.cells) for path in RUNGS}
    items = [f'<li><i class="{CODES[path]}"></i>{path} <b>{count}</b></li>' for path, count in counts.items() if count]
    if found.failed:
        items.append(f'<li><i class="bad"></i>failed <b>{len(found.failed)}</b></li>')
    return items


def _told(cell: CallReport) -> dict[str, Any]:
    times = cell.setup_ms
    return {
        "pair": f"{cell.caller} → {cell.callee}",
        "path": path_of(cell) or "no path",
        "error": cell.error or "; ".join(cell.disagreements),
        "setup": f"rang {times.ringing} ms, answered {times.answered} ms, first voice {times.first_media} ms, "
        f"best path {times.best_path} ms after dialling",
        "history": [f"{one.from_ms} to {one.to_ms} ms: {one}" for one in cell.history],
        "evidence": str(cell.evidence),
    }
