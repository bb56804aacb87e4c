"""The topology as a picture: core, who is on the internet, every site with its router and clients, carriers as frames.

Belongs here: layout; the page that it stands in has the colours. Never: looking anything up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lab.topology.model import Network, Node, Role, Topology

WIDE, GAP, ACROSS = 188, 16, 5
"""Pixels of a site and between two, and how many stand side by side."""
LINE, PAD, BUS = 15, 9, 22
"""Pixels of a line of text, inside a frame, and above one for the line that joins a row."""
LETTER, OF_NAMES = 6.4, 7.1
"""Pixels of a letter, and of a bold one, at most: which face a reader has is not known here."""
LEFT = 24
"""Where the first site of a row begins; the trunk from core runs at the left of it."""


@dataclass(frozen=True)
class _Box:
    """A box with lines of text, each with the class that it is written in."""

    kind: str
    lines: tuple[tuple[str, str], ...]

    @property
    def high(self) -> int:
        return LINE * len(self.lines) + 10

    def drawn(self, x: float, y: float, wide: float) -> Iterator[str]:
        round_ = 12 if self.kind == "client" else 5
        yield f'<rect class="{self.kind}" x="{x}" y="{y}" width="{wide}" height="{self.high}" rx="{round_}"/>'
        for number, (text, style) in enumerate(self.lines):
            yield _text(text, style, x + wide / 2, y + 16 + LINE * number, wide - 8)


@dataclass(frozen=True)
class _Site:
    """A router, what is behind it, and the sites inside where it is a carrier's."""

    name: str
    router: _Box
    inside: tuple[_Box, ...]
    sites: tuple["_Site", ...] = ()

    @property
    def across(self) -> int:
        return max(1, min(ACROSS, sum(site.across for site in self.sites)))

    @property
    def wide(self) -> int:
        return self.across * WIDE + (self.across - 1) * GAP + (2 * PAD if self.sites else 0)

    @property
    def high(self) -> int:
        below = sum(box.high + 8 for box in self.inside) + (8 if self.inside else 0)
        below += sum(max(site.high for site in row) + BUS for row in _rows(self.sites)) + (GAP if self.sites else 0)
        return PAD + self.router.high + below + LINE + PAD

    def drawn(self, x: float, y: float) -> Iterator[str]:
        yield f"<g><title>{escape(self.name)}</title>"
        yield f'<rect class="frame" x="{x}" y="{y}" width="{self.wide}" height="{self.high}" rx="8"/>'
        wide = WIDE - 2 * PAD
        yield from self.router.drawn(x + PAD, y + PAD, wide)
        at, middle = y + PAD + self.router.high, x + PAD + wide / 2
        for box in self.inside:
            yield f'<path class="wire" d="M{middle} {at}v8"/>'
            yield from box.drawn(x + PAD, at + 8, wide)
            at += box.high + 8
        if self.sites:
            yield from _hung(self.sites, x + PAD + 4, at, x + PAD, at)
        middle, low = x + self.wide / 2, y + self.high - PAD + 2
        yield f'<text class="place" x="{middle}" y="{low}">{escape(self.name)}</text></g>'


def svg(topology: Topology) -> str:
    """The whole picture; it is as wide as its widest row, and scales."""
    inner = {site: topology.behind(site) for site in topology.sites()}
    sites = [_site(topology, site, inner) for site, outer in inner.items() if outer is None]
    public = [node for node in topology.nodes if node.site is None and node.role is not Role.CORE]
    servers = [_Site("", _server(node), ()) for node in public]
    core = topology.by_role(Role.CORE)
    head = _Box("core", ((core[0].name if core else "core", "name"), ("every packet passes here once", "dim")))
    wide = LEFT + max([head.high, *(_width(row) for row in (*_rows(servers), *_rows(sites)))]) + 2
    parts = list(head.drawn(LEFT, 2, WIDE + 40))
    parts += _wires(servers, sites, 2 + head.high)
    high = _bottom(servers, sites, 2 + head.high)
    told = f"{len(topology.sites())} sites, {len(topology.clients())} clients, {len(public)} nodes on the internet"
    return (
        f'<svg class="topology" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" '
        f'height="{high}" role="img"><title>{told}</title>{"".join(parts)}</svg>'
    )


def _wires(servers: Sequence[_Site], sites: Sequence[_Site], top: float) -> Iterator[str]:
    """Everything that hangs from core's trunk: who is on the internet in bare boxes, then the sites in frames."""
    last = top
    for row in _rows(servers):
        high = max(box.router.high for box in row)
        x = float(LEFT)
        for box in row:
            yield f'<path class="wire" d="M{x + WIDE / 2} {last + BUS / 2}v{BUS / 2}"/>'
            yield from box.router.drawn(x, last + BUS, WIDE)
            x += WIDE + GAP
        yield f'<path class="wire" d="M8 {last + BUS / 2}H{x - GAP - WIDE / 2}"/>'
        last += BUS + high
    yield from _hung(sites, LEFT, last, 8, top)
    if not sites:
        yield f'<path class="wire" d="M8 {top - 20}V{last - 20}"/>'
    yield f'<path class="wire" d="M{LEFT} {top - 20}H8V{top}"/>'


def _hung(sites: Sequence[_Site], x: float, y: float, trunk: float, trunk_top: float) -> Iterator[str]:
    """Rows of sites, each under a line that a trunk at the left joins to what is above."""
    line = trunk_top
    for row in _rows(sites):
        line = y + BUS / 2
        at = x
        for site in row:
            middle = at + WIDE / 2
            yield f'<path class="wire" d="M{middle} {line}v{BUS / 2 + PAD}"/>'
            yield from site.drawn(at, y + BUS)
            at += site.wide + GAP
        yield f'<path class="wire" d="M{trunk} {line}H{middle}"/>'
        y += BUS + max(site.high for site in row)
    yield f'<path class="wire" d="M{trunk} {trunk_top}V{line}"/>'


def _bottom(servers: Sequence[_Site], sites: Sequence[_Site], top: float) -> float:
    rows = [max(box.router.high for box in row) for row in _rows(servers)]
    rows += [max(site.high for site in row) for row in _rows(sites)]
    return top + sum(BUS + high for high in rows) + 2


def _rows(sites: Iterable[_Site]) -> list[list[_Site]]:
    rows: list[list[_Site]] = []
    for site in sites:
        if rows and sum(one.across for one in rows[-1]) + site.across <= ACROSS:
            rows[-1].append(site)
        else:
            rows.append([site])
    return rows


def _width(row: Sequence[_Site]) -> int:
    return sum(site.wide for site in row) + GAP * (len(row) - 1)


def _site(topology: Topology, name: str, inner: dict[str, str | None]) -> _Site:
    router = topology.router_of(name)
    lines = [(router.name, "name"), (str(router.profile), "dim")]
    if router.axes:
        lines.append((router.axes, "small"))
    if router.firewall not in (None, "none"):
        lines.append((f"firewall {router.firewall}", "shut"))
    if router.portmap not in (None, "off"):
        lines.append((f"ports on request: {router.portmap}", "dim"))
    lan = topology.lan_of(name)
    lines.append((_address(router, lan, outer=True), "small"))
    hosts = [node for node in topology.nodes if node.site == name and node is not router]
    boxes = tuple(
        _Box("client" if node.role is Role.CLIENT else "server", ((node.name, "name"), (_address(node, lan), "small")))
        for node in hosts
    )
    return _Site(
        name,
        _Box("router", tuple(lines)),
        boxes,
        tuple(_site(topology, s, inner) for s, o in inner.items() if o == name),
    )


def _server(node: Node) -> _Box:
    return _Box("server", ((node.name, "name"), (_address(node, None), "small")))


def _address(node: Node, lan: Network | None, outer: bool = False) -> str:
    """What it is reached at: in this network, or, `outer`, in the one that is not."""
    held = [one for one in node.attachments if lan is None or (one.network == lan.name) is not outer]
    if not held:
        return ""
    one = held[0]
    six = lan is not None and lan.ipv6_only and not outer and one.address6
    return str(one.address6.ip if six and one.address6 else one.address.ip)


def _text(text: str, style: str, x: float, y: float, room: float) -> str:
    """One line in its middle. A name that is too long is set closer, any other text cut; its title is the whole."""
    if len(text) * (OF_NAMES if style == "name" else LETTER) <= room:
        return f'<text class="{style}" x="{x}" y="{y}">{escape(text)}</text>'
    if style == "name":
        close = f'textLength="{room}" lengthAdjust="spacingAndGlyphs"'
        return f'<text class="{style}" x="{x}" y="{y}" {close}>{escape(text)}</text>'
    cut = f"{text[: int(room / LETTER) - 1]}…"
    return f'<text class="{style}" x="{x}" y="{y}">{escape(cut)}<title>{escape(text)}</title></text>'
