"""The last certification as a table of the page: a row a site and family, what differs with the claim beneath.

Belongs here: layout, from the document that is kept. Never: verdicts; they come with the certificates.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from lab.certify.comparing import shown
from lab.certify.requirements import ASKED
from lab.report.words import DEPENDS

Json = Mapping[str, Any]
_COLUMNS = (
    "",
    "site",
    "profile, firewall",
    "mapping",
    "filtering",
    "ports",
    "hairpin",
    "UDP idle",
    "delay",
    "loss",
    "RFCs",
)
_AXES = ("mapping", "filtering", "allocation", "hairpinning", "udp_timeout_s")
_UNITS = {"udp_timeout_s": " s", "link.delay_ms": " ms"}


def table(found: Json) -> str:
    """The table, and below it what is not met and what could not be measured, or was not."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in _COLUMNS)
    rows = "".join(row for site in found["sites"] for row in _rows(site))
    said = [f"{site['site']}: {words}" for site in found["sites"] for words in site["disagreements"]]
    wrong = "".join(f"<li>{escape(words)}</li>" for words in said)
    # a certification that was kept before there were any has none
    beside = [f"{site['site']}: {words}" for site in found["sites"] for words in site.get("notes", ())]
    notes = "".join(f"<li>{escape(words)}</li>" for words in beside)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="certification"><table class="plain certified">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        + (f'<ul class="faults">{wrong}</ul>' if wrong else "")
        + (f'<ul class="quiet">{notes}</ul>' if notes else "")
        + _unmet(found)
    )


def _rows(site: Json) -> Iterator[str]:
    kind = str(site["profile"]) + (f", {site['firewall']}" if site["firewall"] != "none" else "")
    kind += f", behind {site['behind']}" if site.get("behind") else ""
    if site.get("failure") is not None:
        yield _row(
            "no", site["site"], kind, f'<td class="wrong" colspan="8">not measured: {escape(site["failure"])}</td>'
        )
        return
    both = "ipv6" in site["measured"]
    differences = site.get("differences") or []
    first = {one["axis"]: one for one in differences if not (both and one["family"] == 6)}
    yield _row("no" if first else "ok", site["site"], kind, _cells(site["measured"], first) + _required(site))
    if both:
        second = {one["axis"]: one for one in differences if one["family"] == 6}
        measured = site["measured"]["ipv6"]
        does = "prefixes translated" if measured.get("prefix_translation") else ""
        yield _row("no" if second else "ok", "  IPv6", does, _cells(measured, second) + "<td></td>")


def _row(mark: str, site: str, kind: str, cells: str) -> str:
    style = "well" if mark == "ok" else "wrong"
    first = f'<td class="{style}">{mark}</td><th scope="row">{escape(site)}</th><td class="quiet">{escape(kind)}</td>'
    return f"<tr>{first}{cells}</tr>"


def _cells(measured: Json, wrong: Mapping[str, Json]) -> str:
    hidden = not measured["outbound"]["udp"]
    cells = [_cell(axis, measured[axis], wrong, "hidden" if hidden and axis in _AXES[:3] else "-") for axis in _AXES]
    link = measured["link"]
    cells.append(_cell("link.delay_ms", link["delay_ms"], wrong, "-"))
    cells.append(_cell("link.loss", link["loss"], wrong, "-"))
    return "".join(cells)


def _cell(axis: str, value: Any, wrong: Mapping[str, Json], blank: str) -> str:
    if axis not in wrong:
        return f'<td class="quiet">{blank}</td>' if value is None else f"<td>{escape(_word(axis, value))}</td>"
    claimed = _word(axis, wrong[axis]["claimed"])
    return f'<td class="wrong">{escape(_word(axis, value))}<br><small>claimed {escape(claimed)}</small></td>'


def _word(axis: str, value: Any) -> str:
    if value is None:
        return "none"
    if axis == "link.loss":
        return f"{value * 100:.1f} %"
    if axis == "link.delay_ms":
        return f"{value:.1f} ms"
    return DEPENDS.get(str(value), shown(value)) + _UNITS.get(axis, "")


def _required(site: Json) -> str:
    met, unmet = (sum(one["met"] is said for one in site["requirements"]) for said in (True, False))
    return f"<td>{met} met" + (f", {unmet} not" if unmet else "") + "</td>"


def _unmet(found: Json) -> str:
    """Each requirement that some site does not meet, and which: a profile is built that way, so it is no failure."""
    by_id: dict[str, dict[str, str]] = {}
    for site in found["sites"]:
        for one in site["requirements"]:
            if one["met"] is False:
                by_id.setdefault(one["id"], {})[site["site"]] = one["seen"]
    if not by_id:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(number)}</th><td class="quiet">{escape(ASKED.get(number, ""))}</td>'
        f"<td>{escape(', '.join(sites))}</td></tr>"
        for number, sites in by_id.items()
    )
    return (
        f"<details><summary>RFC requirements that some site does not meet: {len(by_id)}</summary>"
        '<div class="scroll" tabindex="0" role="region" aria-label="requirements"><table class="plain"><thead><tr>'
        "<th>requirement</th><th>asks for</th><th>not met by</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></details>"
    )
