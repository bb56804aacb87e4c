"""Who calls whom in a matrix, in which order, and who may call now: a tournament in which nobody plays twice at once.

Belongs here: pure choices. Never: placing calls.
"""

from collections.abc import Iterable, Sequence

from lab.errors import ConfigError
from lab.topology.model import Node, Topology

Pair = tuple[str, str]
"""Caller and callee."""


def players(topology: Topology, sites: Sequence[str] = ()) -> list[list[Node]]:
    """The clients of each site, of all sites that have one unless some are named. Raises ConfigError."""
    there: dict[str, list[Node]] = {}
    for client in topology.clients():
        there.setdefault(str(client.site), []).append(client)
    for site in sites:
        if site not in there:
            what = f"no client is at {site} now" if site in topology.sites() else f"no site is called {site!r}"
            raise ConfigError(f"{what}; sites with a client are {', '.join(there)}")
    return [clients for site, clients in there.items() if not sites or site in sites]


def pairs(teams: Sequence[Sequence[Node]]) -> list[Pair]:
    """Every two sites by their first clients, and the first two clients of a site that has two, in both directions.

    In the order of a round-robin tournament: calls that are near each other in it share no client. Raises ConfigError
    where there is nobody to call.
    """
    firsts = [team[0].name for team in teams]
    neighbours = [(team[0].name, team[1].name) for team in teams if len(team) > 1]
    there = [*_rounds(firsts), *neighbours]
    if not there:
        raise ConfigError("a matrix needs two sites with a client each, or a site with two clients; name more sites")
    return [*there, *((callee, caller) for caller, callee in there)]


def _rounds(names: Sequence[str]) -> list[Pair]:
    """The circle method: one stays, the others go round; who is opposite the empty place has a rest."""
    circle: list[str | None] = [*names, *([None] if len(names) % 2 else [])]
    found: list[Pair] = []
    for _ in range(len(circle) - 1):
        half = len(circle) // 2
        opposite = zip(circle[:half], reversed(circle[half:]), strict=True)
        found += [(one, other) for one, other in opposite if one is not None and other is not None]
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return found


class Floor:
    """The pairs that have still to call, and the clients that are in a call: each is in one at most."""

    def __init__(self, order: Iterable[Pair]) -> None:
        self._waiting = list(order)
        self._busy: set[str] = set()

    @property
    def waiting(self) -> int:
        """Pairs that have not begun."""
        return len(self._waiting)

    def take(self) -> Pair | None:
        """The next pair of which neither is in a call; None where there is none at this moment."""
        for index, pair in enumerate(self._waiting):
            if not self._busy & set(pair):
                del self._waiting[index]
                self._busy |= set(pair)
                return pair
        return None

    def leave(self, pair: Pair) -> None:
        """Their call is over."""
        self._busy -= set(pair)

    def clear(self) -> None:
        """Nobody is to call any more."""
        self._waiting.clear()
