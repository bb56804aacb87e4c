"""Every pair of the zoo called in both directions: each on a path that theory allows, and less than a second a call."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from lab.harness import Lab
from lab.harness.call_report import CallReport
from lab.harness.matrix import Matrix
from lab.topology import parse
from tests.theory import expected, side

ZOO = parse(Path(__file__).parents[2] / "compose" / "zoo.yml")
FIRST = {str(client.site): client.name for client in reversed(ZOO.clients())}
PAIRS = [*permutations(FIRST, 2), ("address-dependent-1", "address-dependent-1")]
LIMIT_S = 1.0
"""Of a cell, on two cores."""
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
    ends = [side(ZOO, ZOO.node(FIRST[site])) for site in (caller, callee)]
    allowed = expected(*ends).accepted
    assert found
    for cell in found:
        assert any(cell.holds(path) for path in allowed), (str(cell), sorted(allowed))


def test_a_cell_costs_less_than_a_second(matrix: Matrix) -> None:
    assert matrix.seconds / len(matrix.cells) < LIMIT_S


def test_no_capture_lost_a_packet(matrix: Matrix) -> None:
    assert matrix.dropped_by_captures == {}
