"""Every pair of the zoo called in both directions: each on a path that theory allows, voice at once, ports that have to
be found as often as they must be, and less than a second a call."""

from collections.abc import Callable
from itertools import permutations
from math import inf
from pathlib import Path
from statistics import median, quantiles

import pytest

from lab.harness import Lab
from lab.harness.call_report import CallReport
from lab.harness.matrix import Matrix
from lab.topology import parse
from tests.shares import DEMANDS, Demand, after_the_answer, shortfall
from tests.theory import Search, expected, side

ZOO = parse(Path(__file__).parents[2] / "compose" / "zoo.yml")
Cells = Callable[[str, str], list[CallReport]]
Kind = tuple[str, str, Search]
FIRST = {str(client.site): client.name for client in reversed(ZOO.clients())}
PAIRS = [*permutations(FIRST, 2), ("address-dependent-1", "address-dependent-1")]
LIMIT_S = 1.0
"""Of a cell, on two cores."""
SIDES = {site: side(ZOO, ZOO.node(client)) for site, client in FIRST.items()}


def round_trip_ms(*sites: str) -> int:
    """Of signalling, from a client by its supernode to another and back: twice each link of 10 ms, as certified, and
    behind a carrier there are two in a row."""
    return sum(40 if ZOO.behind(site) else 20 for site in sites)


def budget_ms(*sites: str) -> float:
    """From the answer to the first voice at the worse end. The answer and the first packet of the voice that it calls
    forth take one round trip, the frame 20 ms; the rest is for programs to do their work."""
    return 1.5 * round_trip_ms(*sites) + 20


def half_ms(*sites: str) -> float:
    """Half of the calls need no more than half of that rest."""
    return 1.25 * round_trip_ms(*sites) + 20


def kinds_of_pairs() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """The pairs of sites by what their two networks are, whoever calls; of two alike there are few, so all together."""
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for pair in PAIRS:
        one, two = sorted("ipv6" if SIDES[site].ipv6 else site.rpartition("-")[0] for site in pair)
        kinds.setdefault((one, two) if one != two else ("one", "its like"), []).append(pair)
    return kinds


def hard_kinds() -> dict[Kind, list[tuple[str, str, str]]]:
    """Pairs of sites that need a port found, and the path by it: by their hard sides, the transport, and the search."""
    kinds: dict[Kind, list[tuple[str, str, str]]] = {}
    for pair in PAIRS:
        hoped = expected(*(SIDES[site] for site in pair))
        if hoped.search is not None:
            transport = hoped.hoped.rpartition("/")[2]
            seen = {site: getattr(SIDES[site].ipv4, transport) for site in pair}
            hard = sorted({site.rpartition("-")[0] for site in pair if seen[site].hard})
            kinds.setdefault((" and ".join(hard), transport, hoped.search), []).append((*pair, hoped.hoped))
    return kinds


HARD, KINDS = hard_kinds(), kinds_of_pairs()
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="session")
def matrix(lab: Lab) -> Matrix:
    return lab.matrix(follow=lambda step: print(step.ended or ""))


@pytest.fixture(scope="session")
def cells(matrix: Matrix) -> Cells:
    """The calls from one site to another; in one site with two clients there is one each way."""
    by_sites: dict[tuple[str, str], list[CallReport]] = {}
    for cell in matrix.cells:
        by_sites.setdefault((matrix.sites[cell.caller], matrix.sites[cell.callee]), []).append(cell)
    return lambda one, two: by_sites.get((one, two), [])


@pytest.mark.parametrize(("caller", "callee"), PAIRS, ids=[f"{one}-{two}" for one, two in PAIRS])
def test_a_pair_takes_a_path_that_its_networks_allow(cells: Cells, caller: str, callee: str) -> None:
    found = cells(caller, callee)
    allowed = expected(SIDES[caller], SIDES[callee]).accepted
    assert found
    for cell in found:
        assert any(cell.holds(path) for path in allowed), (str(cell), sorted(allowed))


@pytest.mark.parametrize("kind", HARD, ids=lambda kind: f"{kind[0]}, {kind[1]}, {kind[2]}")
def test_ports_that_nobody_can_name_are_found(cells: Cells, kind: Kind) -> None:
    """As often as of 40 tries, and as soon, but for one doubt in a thousand; TCP takes its time, and only counts."""
    _, transport, search = kind
    demand = DEMANDS[search] if transport == "udp" else Demand(DEMANDS[search].share, inf)
    took = [after_the_answer(cell, path) for one, two, path in HARD[kind] for cell in cells(one, two)]
    assert shortfall(took, demand) is None


def test_voice_comes_at_once(matrix: Matrix) -> None:
    """Both are exceeded by a regression of some milliseconds, and by no machine that calls the zoo in its time: 57 to
    59 ms and 70 to 76 were measured on two busy cores where the budget is 80, of whose calls 2 to 4 in a hundred were
    later than that."""
    late, later = [], []
    for cell in matrix.cells:
        took, sites = cell.setup_ms.first_voice, (matrix.sites[cell.caller], matrix.sites[cell.callee])
        assert took is not None, cell
        late.append(took - half_ms(*sites))
        later.append(took - budget_ms(*sites))
    assert median(late) <= 0 and quantiles(later, n=20)[-1] <= 0, (median(late), quantiles(later, n=20)[-1])


@pytest.mark.parametrize("kinds", KINDS, ids=" and ".join)
def test_voice_comes_at_once_between_every_two_kinds_of_network(cells: Cells, kinds: tuple[str, str]) -> None:
    """At least half of eight calls or more: what a machine does beside them makes some late, and seldom the same."""
    took = [(cell.setup_ms.first_voice, budget_ms(*pair)) for pair in KINDS[kinds] for cell in cells(*pair)]
    assert sum(one is not None and one <= budget for one, budget in took) >= len(took) / 2, took


@pytest.mark.parametrize("kinds", KINDS, ids=" and ".join)
def test_whoever_can_go_direct_without_guessing_has_left_the_relay_within_a_second(
    cells: Cells, kinds: tuple[str, str]
) -> None:
    """In the median of a kind of pairs: what a machine does beside them makes some late, and seldom the same."""
    took = []
    for one, two in KINDS[kinds]:
        best = expected(SIDES[one], SIDES[two])
        if best.search is None and not best.best.startswith("relayed"):
            took += [after_the_answer(cell, best.best) for cell in cells(one, two)]
    assert not took or median(inf if one is None else one for one in took) <= 1.0, took


def test_two_of_one_lan_never_speak_by_a_relay(cells: Cells) -> None:
    found = [cell for one, two in PAIRS if one == two for cell in cells(one, two)]
    assert found
    assert [str(cell) for cell in found if any(stretch.kind == "relayed" for stretch in cell.history)] == []


def test_moving_loses_and_repeats_no_frame(matrix: Matrix) -> None:
    """Nothing is heard that was not said; and on clean links hardly a frame is lost, wherever its call moves."""
    ends = [(cell, name, peer) for cell in matrix.cells for name, peer in permutations((cell.caller, cell.callee), 2)]
    assert [str(cell) for cell, name, peer in ends if cell.media[name].received > cell.media[peer].sent] == []
    lost = sum(media.lost for cell in matrix.cells for media in cell.media.values())
    assert lost <= 0.001 * sum(media.sent for cell in matrix.cells for media in cell.media.values())


def test_who_picks_up_at_once_is_heard_within_two_round_trips(lab: Lab) -> None:
    """Since dialling, where both have UDP: a pair of each kind, and each round trip as long as the call's own from
    dialling to ringing, for in the first one words are signed and checked. Half of them at least, as above."""
    pairs = [
        next((one for one in found if all(SIDES[site].voice_by_udp for site in one)), None) for found in KINDS.values()
    ]
    wanted = [(FIRST[one], FIRST[other]) for one, other in filter(None, pairs) if one != other]
    found = lab.calls(wanted, ring_ms=0)
    shares = [
        cell.setup_ms.first_media / cell.setup_ms.ringing
        for cell in found.cells
        if cell.setup_ms.first_media and cell.setup_ms.ringing
    ]
    assert len(shares) == len(wanted) > 60 and median(shares) <= 2.0, sorted(shares)
    rang = [
        cell.setup_ms.ringing - round_trip_ms(found.sites[cell.caller], found.sites[cell.callee])
        for cell in found.cells
        if cell.setup_ms.ringing
    ]
    assert median(rang) <= 40, "what programs need for the first one, several calls at a time: a share would hide it"


def test_a_cell_costs_less_than_a_second(matrix: Matrix) -> None:
    assert matrix.seconds / len(matrix.cells) < LIMIT_S


def test_no_capture_lost_a_packet(matrix: Matrix) -> None:
    assert matrix.dropped_by_captures == {}
