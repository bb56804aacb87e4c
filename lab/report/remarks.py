"""A call's packets in plain words while they pass, a line each: the first of each kind, and what its router made of it.

Pure: rows in, lines out. Belongs here: which packets say something to a newcomer, and what. Never: captures, printing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.text import Text

from lab.evidence.naming import Names
from lab.harness.passing import Row
from lab.topology.model import Role, Topology

WIDTH = 80
LEGEND = (
    "The packets that matter while they pass, ms after dialling, and what the router there makes of each: it goes out "
    "as …, is handed to …, or is dropped."
)
_OUT: Mapping[tuple[str, str], tuple[str, str]] = {
    ("STUN question", "supernode"): ("asks how it looks outside", "STUN question"),
    ("STUN check", "peer"): ("checks this way", "check"),
    ("STUN check", "relay"): ("checks the way by the relay", "check"),
    ("STUN nominates", "peer"): ("nominates this way", "nomination"),
    ("STUN nominates", "relay"): ("nominates the relay's way", "nomination"),
    ("relay bind", "relay"): ("asks the relay for a leg", "bind"),
    ("TCP SYN", "peer"): ("opens TCP", "SYN"),
    ("TCP SYN", "relay"): ("opens TCP to the relay", "SYN"),
    ("RTP", "peer"): ("first voice", "voice"),
    ("RTP", "relay"): ("first voice", "voice"),
}
"""What a client sends, by what it is and whom it is for: in words, and in the one word where it is dropped."""
_IN: Mapping[tuple[str, str], tuple[str, str]] = {
    ("STUN answer", "supernode"): ("says what it has seen", "STUN answer"),
    ("STUN check", "peer"): ("a check gets through", "check"),
    ("STUN check", "relay"): ("a check comes by the relay", "check"),
    ("STUN answer", "peer"): ("an answer, so this way works", "answer"),
    ("relay bound", "relay"): ("the relay grants a leg", "answer"),
    ("TCP SYN", "peer"): ("opens TCP", "SYN"),
    ("TCP SYN ACK", "peer"): ("TCP is open", "SYN ACK"),
    ("TCP SYN ACK", "relay"): ("TCP is open", "SYN ACK"),
    ("RTP", "peer"): ("first voice arrives", "voice"),
    ("RTP", "relay"): ("first voice arrives", "voice"),
}
"""The same of what comes to one."""
_SIGNALLING = {
    (True, True): ("announces the call over TCP", "announcement"),
    (False, False): ("brings the call over TCP", "delivery"),
    (True, False): ("answers over TCP", "reply"),
}
"""What goes between a client and its supernode first, by whether it goes out and is the caller's; sealed, all of it."""
_AFTER = {"delivery": "announcement", "reply": "delivery"}
"""What comes before each: a connection that is always open carries other words as well."""


@dataclass(frozen=True)
class Remark:
    """What is said of one packet. `kind`: of those that share it the first one says it all; `refused`: it got no
    further."""

    kind: tuple[str, ...]
    at: float
    source: str
    destination: str
    words: str
    refused: bool


class Ends:
    """The two of a call, and whom they deal with, by the names that rows have."""

    def __init__(self, topology: Topology, caller: str, callee: str) -> None:
        self.caller = caller
        clients, names = [topology.node(name) for name in (caller, callee)], Names(topology)
        self.at = {str(client.site): client.name for client in clients}
        """Who of the two is at a site."""
        self.inner = {one.name for one in clients if any(names.private(str(each)) for each in one.addresses)}
        """Those whose own address is nobody's on the internet."""
        self.roles = {node.name: "relay" for node in topology.by_role(Role.RELAY)}
        self.roles |= {node.name: "supernode" for node in topology.by_role(Role.SUPERNODE)}
        self.roles |= {name: "peer" for client in clients for name in (client.name, f"{client.site} wan")}
        self.routers = {site: topology.router_of(site).name for site in self.at}


def remark(row: Row, ends: Ends) -> Remark | None:
    """What a newcomer is told of a packet at a place; None for one that says nothing, or that another place tells."""
    source, destination = _host(row.source), _host(row.destination)
    site, _, side = row.place.rpartition(" ")
    if row.fate == "lost" and not site:  # on the internet, which no packet to an inner address crosses
        if row.what != "STUN check" or {ends.roles.get(source), ends.roles.get(destination)} != {"peer"}:
            return None
        words = f"tries {destination}'s inner address: nobody's out here"
        return Remark(("lost",), row.at, source, destination, words, True)
    me, outward = ends.at.get(site), side == "lan"
    if me is None or row.fate not in ("translated", "passed", "dropped", "lost"):
        return None
    far = destination if outward else source
    if (source != me) if outward else (destination not in (me, f"{site} wan")):
        return None
    what = row.what.partition(" ")[0] if row.what.startswith("RTP ") else row.what
    role = ends.roles.get(far, "")
    if what == "signalling" and role == "supernode":
        found = _SIGNALLING.get((outward, me == ends.caller))
    else:
        found = (_OUT if outward else _IN).get((what, role))
    if found is None or (outward and far in ends.inner):  # where that leads, the internet shows
        return None
    (words, short), refused = found, row.fate in ("dropped", "lost")
    if refused and role == "supernode" and not outward:
        return None
    kind = (short if what == "signalling" else what, side, *(("refused",) if refused else ()))
    if what == "RTP" and outward:
        moved = (row.event or "").startswith("path moved")
        words = "voice moves to this way" if moved else words
        kind = (*kind, me, *((far,) if moved else ()))
    elif what != "RTP" and what != "signalling":
        each = what == "STUN question" or (role == "peer" and what in ("STUN check", "TCP SYN"))
        kind = (*kind, role, *((me,) if each else ()))
    fate = _fate(row, ends.routers[site], outward)
    return Remark(kind, row.at, source, destination, f"{short if refused else words}: {fate}", refused)


class Remarks:
    """Hears the rows of a call, and says each thing once. Rows from before it was dialled are of no call."""

    def __init__(self, topology: Topology, caller: str, callee: str) -> None:
        self._ends = Ends(topology, caller, callee)
        self._dialling = f"{caller}: dialled"
        self._dialled: float | None = None
        self._held: list[Row] = []
        self._said: set[tuple[str, ...]] = set()
        self.talking = False
        """Whether voice was seen, so that the way to it has been told."""

    def hear(self, rows: Iterable[Row]) -> list[Text]:
        """The lines that these are worth, and those before them that waited to hear when the call was dialled."""
        for row in rows:
            if row.event == self._dialling and row.fate == "note":
                self._dialled = self._dialled or row.at
            elif row.fate != "note":
                self._held.append(row)
        if self._dialled is None:
            return []
        held, self._held = self._held, []
        found = [remark(row, self._ends) for row in held if row.at >= self._dialled]
        return [line(one, self._dialled) for one in found if one is not None and self._news(one)]

    def _news(self, one: Remark) -> bool:
        """Whether it has not been said; a connection that is opened after the first voice is for another time."""
        sort = one.kind[0]
        if one.kind in self._said or (self.talking and sort.startswith("TCP SYN")):
            return False
        if sort in _AFTER and not any(kind[0] == _AFTER[sort] for kind in self._said):
            return False
        self._said.add(one.kind)
        self.talking = self.talking or sort == "RTP"
        return True


def line(one: Remark, dialled: float) -> Text:
    """One packet in one line of at most WIDTH columns."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{(one.at - dialled) * 1000:>5.0f} ms  ", "dim")
    text.append(one.source, "bold").append(" → ").append(one.destination, "bold")
    text.append("  ").append(one.words, "yellow" if one.refused else "")
    text.truncate(WIDTH, overflow="ellipsis")
    return text


def _fate(row: Row, router: str, outward: bool) -> str:
    """What a router made of a packet, in the least words."""
    if row.fate == "passed":
        return "unchanged" if outward else "let in"
    if row.fate == "translated":
        return row.became
    if row.fate == "lost":
        return "lost on the line"
    reason = row.became.rpartition("dropped")[2].removeprefix(": ").removeprefix("firewall ")
    return f"{router} drops it, {reason}" if reason else f"{router} drops it"


def _host(endpoint: str) -> str:
    """`home wan` of `home wan:40000`."""
    return endpoint.rpartition(":")[0]
