"""Every pair of the zoo called in both directions: each on a path that theory allows, voice at once, ports that have to
be found as often as they must be, and less than a second a call."""

from collections.abc import Callable
from itertools import permutations
from math import inf
from pathlib import Path

import pytest

from lab.harness import Lab
from lab.harness.call_report import CallReport
from lab.harness.matrix import Matrix
from lab.topology import parse
from tests.shares import DEMANDS, Demand, after_the_answer, shortfall
from tests.theory import Search, expected, side

ZOO = parse(Path(__file__).parents[2] / "compose" / "zoo.yml")
Kind = tuple[str, str, Search]
FIRST = {str(client.site): client.name for client in reversed(ZOO.clients())}
PAIRS = [*permutations(FIRST, 2), ("linux-1", "linux-1")]
LIMIT_S = 1.0
"""Of a cell, on two cores."""
SIDES = {site: side(ZOO, ZOO.node(client)) for site, client in FIRST.items()}


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


HARD = hard_kinds()
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="session")
def matrix(lab: Lab) -> Matrix:
    return lab.matrix(follow=lambda step: print(step.ended or ""))


@pytest.fixture(scope="session")
def cells(matrix: Matrix) -> Callable[[str, str], list[CallReport]]:
    """The calls from one site to another; in one site with two clients there is one each way."""
    by_sites: dict[tuple[str, str], list[CallReport]] = {}
    for cell in matrix.cells:
        by_sites.setdefault((matrix.sites[cell.caller], matrix.sites[cell.callee]), []).append(cell)
    return lambda one, two: by_sites.get((one, two), [])


@pytest.mark.parametrize(("caller", "callee"), PAIRS, ids=[f"{one}-{two}" for one, two in PAIRS])
def test_a_pair_takes_a_path_that_its_networks_allow(
    cells: Callable[[str, str], list[CallReport]], caller: str, callee: str
) -> None:
    found = cells(caller, callee)
    allowed = expected(SIDES[caller], SIDES[callee]).accepted
    assert found
    for cell in found:
        assert any(cell.holds(path) for path in allowed), (str(cell), sorted(allowed))


@pytest.mark.parametrize("kind", HARD, ids=lambda kind: f"{kind[0]}, {kind[1]}, {kind[2]}")
def test_ports_that_nobody_can_name_are_found(cells: Callable[[str, str], list[CallReport]], kind: Kind) -> None:
    """As often as of 40 tries, and as soon, but for one doubt in a thousand; TCP takes its time, and only counts."""
    _, transport, search = kind
    demand = DEMANDS[search] if transport == "udp" else Demand(DEMANDS[search].share, inf)
    took = [after_the_answer(cell, path) for one, two, path in HARD[kind] for cell in cells(one, two)]
    assert shortfall(took, demand) is None


def test_a_cell_costs_less_than_a_second(matrix: Matrix) -> None:
    assert matrix.seconds / len(matrix.cells) < LIMIT_S


def test_no_capture_lost_a_packet(matrix: Matrix) -> None:
    assert matrix.dropped_by_captures == {}
