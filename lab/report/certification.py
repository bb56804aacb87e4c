"""A certification for the eye: claimed against measured, and the RFCs' requirements.

Belongs here: layout and wording. Never: verdicts; they come with the certificates.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.certify.behaviour import Behaviour, Link
from lab.certify.certificate import Certification, SiteCertificate, Verdict
from lab.certify.claimed import MTU
from lab.certify.comparing import Difference, shown
from lab.certify.requirements import ASKED, Requirement
from lab.harness.certifying import Progress
from lab.report.words import DEPENDS

_NAMED = 6  # sites under way that are named on the line; more are counted


class Certifying:
    """A certification while it goes on: on a terminal one line that changes, elsewhere a line a site."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line = console.status("asking what is claimed") if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._line:
            self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line:
            self._line.stop()

    def say(self, text: str) -> None:
        """What is made before it can begin."""
        if self._line:
            self._line.update(Text(text))
        else:
            self._console.print(text, markup=False)

    def follow(self, progress: Progress) -> None:
        """A site began, or ended."""
        if self._line is None and progress.ended:
            self._console.print(f"{progress.done} of {progress.total}: {progress.ended}", markup=False)
        elif self._line and progress.under_way:
            more = len(progress.under_way) - _NAMED
            names = ", ".join(progress.under_way[:_NAMED]) + (f" and {more} more" if more > 0 else "")
            self._line.update(Text(f"{progress.done} of {progress.total} sites certified; measuring {names}"))


_PADDING = (0, 2, 0, 0)


def certification(found: Certification) -> RenderableType:
    """One site in full, several as a table."""
    if len(found.sites) == 1:
        return Group(_in_full(found.sites[0]), Text(), *_beside(found), _end(found))
    said = (*_disagreements(found), *_beside(found))
    return Group(_summary(found.sites), Text(), _required(found.sites), Text(), *said, _end(found))


def _end(found: Certification) -> Text:
    wrong = [site.site for site in found.sites if not site.agrees]
    count = f"{len(found.sites)} site{'s' if len(found.sites) > 1 else ''}, {found.seconds:.0f} s: "
    if not wrong:
        return Text(f"{count}measured as claimed.", "good")
    return Text(f"{count}not what is claimed: {', '.join(wrong)}.", "bad")


def _disagreements(found: Certification) -> Iterable[RenderableType]:
    for site in found.sites:
        for words in site.disagreements():
            yield Text.assemble((site.site, "name"), "  ", (words, "bad"))
    if not found.agrees:
        yield Text()


def _beside(found: Certification) -> Iterable[RenderableType]:
    """What was measured again, and what was not measured, which is no disagreement."""
    words = [Text(f"{site.site}  {what}", "dim") for site in found.sites for what in site.repeated()]
    words += [Text(f"{site.site}  {what}", "yellow") for site in found.sites for what in site.notes]
    return (*words, Text()) if words else ()


# several sites ------------------------------------------------------------------------------------------------------


def _summary(sites: Sequence[SiteCertificate]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("site", no_wrap=True, style="bold")
    table.add_column("profile, firewall", overflow="fold")
    for column in ("mapping", "filtering", "ports"):
        table.add_column(column, overflow="fold")
    whole = all(_whole(verdict) for site in sites for verdict in (site.ipv4, site.ipv6) if verdict)
    for column in ("hairpin", "idle", "delay", "loss", *(() if whole else ("MTU",))):
        table.add_column(column, justify="right")
    for site in sites:
        if site.failure is not None:
            table.add_row(Text("no", "bad"), site.site, _kind(site), Text("not measured", "bad"))
        for family, verdict in (("", site.ipv4), ("IPv6", site.ipv6)):
            if verdict:
                cells = list(_row(site, family if site.ipv4 else "IPv6 alone", verdict))
                table.add_row(*(cells[:-1] if whole else cells))
    note = Text(
        "One value in a cell: claimed and measured alike, within the tolerances; else the claim stands below.\n"
        "Mapping and filtering: what they depend on (RFC 4787). Idle: seconds that a UDP mapping lives. "
        "Delay: ms one way.\n"
        + (
            f"MTU: {MTU} bytes at each."
            if whole
            else "MTU: up/down where they differ; with a star, longer packets vanish unreported."
        ),
        "dim",
    )
    return Group(table, note)


def _row(site: SiteCertificate, family: str, verdict: Verdict) -> Iterable[RenderableType]:
    wrong = {difference.axis: difference for difference in verdict.differences}
    hidden = not verdict.measured.outbound.udp
    axes = verdict.measured
    name = Text(site.site if family in ("", "IPv6 alone") else f"  {family}")
    kind = _kind(site) if family in ("", "IPv6 alone") else _ipv6_kind(axes)

    def cell(axis: str, text: str) -> Text:
        difference = wrong.get(axis)
        if difference is None:
            return Text(text)
        return Text(f"{text}\nclaimed {_short(difference.claimed)}", "bad")

    mark = Text("ok", "good") if not verdict.differences else Text("no", "bad")
    blank = Text("hidden" if hidden else "-", "dim")
    yield mark
    yield name
    yield Text(kind)
    for axis, value in (("mapping", axes.mapping), ("filtering", axes.filtering), ("allocation", axes.allocation)):
        yield cell(axis, _short(value)) if value is not None or axis in wrong else blank
    yield (
        cell("hairpinning", _short(axes.hairpinning))
        if axes.hairpinning is not None or "hairpinning" in wrong
        else Text("-", "dim")
    )
    yield cell("udp_timeout_s", _short(axes.udp_timeout_s))
    yield _link(wrong, "delay_ms", axes.link.delay_ms, "{:.1f}")
    yield _link(wrong, "loss", None if axes.link.loss is None else axes.link.loss * 100, "{:.1f} %")
    yield _mtu(wrong, axes.link)


def _whole(verdict: Verdict) -> bool:
    """Whether every packet passes that an Ethernet carries, as claimed, or the firewall hides it."""
    ways = [way for one in (verdict.claimed, verdict.measured) for way in (one.link.up, one.link.down)]
    return all(way.mtu in (None, MTU) for way in ways) and not any("mtu" in one.axis for one in verdict.differences)


def _kind(site: SiteCertificate) -> str:
    firewall = f", {site.firewall}" if site.firewall != "none" else ""
    behind = f" behind {site.behind}" if site.behind else ""
    return f"{site.profile}{firewall}{behind}"


def _ipv6_kind(axes: Behaviour) -> str:
    if axes.prefix_translation:
        return "prefix translation"
    return "forwarded" if axes.filtering is None else "stateful firewall"


def _link(wrong: Mapping[str, Difference], axis: str, value: float | None, form: str) -> Text:
    differs = [one for name, one in wrong.items() if name.startswith("link.") and name.endswith(axis)]
    text = "-" if value is None else form.format(value)
    if differs:
        return Text(f"{text}\nclaimed {shown(differs[0].claimed)}", "bad")
    return Text(text, "dim" if value is None else "")


def _mtu(wrong: Mapping[str, Difference], link: Link) -> Text:
    """Both ways', a star at a black hole's; one where they are the same."""
    ways = [f"{way.mtu}{'*' if way.blackhole else ''}" for way in (link.up, link.down) if way.mtu is not None]
    if not ways:
        return Text("-", "dim")
    text = "/".join(dict.fromkeys(ways))
    differs = {name: one for name, one in wrong.items() if name.startswith("link.") and name.endswith(("mtu", "hole"))}
    claims = [one.claimed for name, one in differs.items() if name.endswith("mtu")]
    return Text(text + (f"\nclaimed\n{shown(claims[0])}" if claims else ""), "bad" if differs else "")


def _short(value: object) -> str:
    return "-" if value is None else DEPENDS.get(str(value), shown(value))


def _required(sites: Iterable[SiteCertificate]) -> RenderableType:
    """One row a requirement: how many sites meet it, and which do not."""
    by_id: dict[str, list[tuple[SiteCertificate, Requirement]]] = {}
    for site in sites:
        for verdict in (site.ipv4, site.ipv6):
            for one in verdict.requirements if verdict else ():
                by_id.setdefault(one.id, []).append((site, one))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=_PADDING)
    table.add_column("requirement", no_wrap=True)
    table.add_column("asks for", no_wrap=True)
    for column in ("met", "not met"):
        table.add_column(column, justify="right")
    table.add_column("not met by", overflow="fold")
    unseen = []
    for number, found in by_id.items():
        counts = [sum(one.met is met for _, one in found) for met in (True, False)]
        if any(counts):
            shown_counts = (str(count) if count else Text("-", "dim") for count in counts)
            table.add_row(number, Text(ASKED[number], "dim"), *shown_counts, _who(found))
        else:
            unseen.append(number)
    return Group(table, *([Text(f"Not to be seen at any of these: {', '.join(unseen)}.", "dim")] if unseen else []))


def _who(found: Iterable[tuple[SiteCertificate, Requirement]]) -> str:
    """Sites that do not meet a requirement; the profile's (or firewall's) name where none of its sites does."""
    failed: dict[str, list[str]] = {}
    met = set()
    for site, one in found:
        kind = site.profile if site.firewall == "none" else site.firewall
        if one.met is False:
            failed.setdefault(kind, []).append(site.site)
        elif one.met:
            met.add(kind)
    return ", ".join(name for kind, names in failed.items() for name in (names if kind in met else [kind]))


# one site -----------------------------------------------------------------------------------------------------------


def _in_full(site: SiteCertificate) -> RenderableType:
    behind = f", behind {site.behind}" if site.behind else ""
    parts: list[RenderableType] = [
        Text.assemble((site.site, "name"), f"  profile {site.profile}, firewall {site.firewall}{behind}"), Text(),
    ]  # fmt: skip
    if site.failure is not None:
        parts += [Text(f"not measured: {site.failure}", "bad"), Text()]
    for family, verdict in (("IPv4", site.ipv4), ("IPv6", site.ipv6)):
        if verdict:
            if site.ipv6:
                parts.append(Text(family, "bold"))
            parts += [_axes(verdict), Text(), _requirements(verdict.requirements), Text()]
    return Group(*parts[:-1])


def _axes(verdict: Verdict) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=_PADDING)
    table.add_column("axis", no_wrap=True)
    table.add_column("claimed", no_wrap=True)
    table.add_column("measured", no_wrap=True)
    wrong = {difference.axis: difference for difference in verdict.differences}
    measured = dict(_flat(verdict.measured.to_json()))
    for axis, claimed in _flat(verdict.claimed.to_json()):
        if claimed is None and measured[axis] is None:
            continue
        style = "bad" if axis in wrong else ""
        within = f"  (within {wrong[axis].within})" if axis in wrong and wrong[axis].within else ""
        words = axis.replace("_", " ").replace(".", " ")
        table.add_row(Text(words, "dim"), shown(claimed), Text(shown(measured[axis]) + within, style))
    return table


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _requirements(found: Iterable[Requirement]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=_PADDING)
    table.add_column("requirement", no_wrap=True)
    table.add_column("asks for", no_wrap=True)
    table.add_column("met", no_wrap=True)
    table.add_column("seen", overflow="fold")
    marks = {True: Text("yes", "good"), False: Text("no", "yellow"), None: Text("-", "dim")}
    for one in found:
        table.add_row(
            one.id, Text(ASKED[one.id], "dim"), marks[one.met], Text(one.seen, "dim" if one.met is None else "")
        )
    return table
