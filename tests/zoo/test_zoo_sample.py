"""A sample of the zoo, as `make test` takes it: sites of each kind certified, pairs called that take each kind of path.

The whole zoo is certified and called in the files beside this one.
"""

from collections.abc import Callable, Iterator
from itertools import permutations

import pytest

from lab.certify.certificate import Certification
from lab.harness import Lab
from lab.harness.call_report import CallReport
from lab.harness.changing import SiteChange
from lab.harness.matrix import Matrix
from tests.theory import Side, expected, side
from tests.zoo.sample import CALLED, CERTIFIED, SHORTENED

PAIRS = list(permutations(CALLED, 2))
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def certification(lab: Lab) -> Iterator[Certification]:
    """Of the sites of the sample, their timers shortened until these tests are over."""
    topology = lab.running_world().topology
    for site, axes in SHORTENED.items():
        lab.set(site, SiteChange(axes=axes))
    yield lab.certify(CERTIFIED, say=print, follow=lambda progress: print(progress.ended or ""))
    for site in SHORTENED:
        lab.set(site, SiteChange(axes=topology.router_of(site).axes))


@pytest.mark.parametrize("site", CERTIFIED)
def test_a_site_is_what_it_claims(certification: Certification, site: str) -> None:
    found = next(one for one in certification.sites if one.site == site)
    assert found.disagreements() == ()
    assert found.to_json()["requirements"]


@pytest.fixture(scope="module")
def matrix(lab: Lab) -> Matrix:
    return lab.matrix(CALLED, follow=lambda step: print(step.ended or ""))


@pytest.fixture(scope="module")
def known(lab: Lab, matrix: Matrix) -> dict[str, object]:
    """What each client knew of its network when the last call was over."""
    return {node.name: (node.network, node.lets_out) for node in lab.status().nodes}


@pytest.fixture(scope="module")
def sides(lab: Lab) -> dict[str, Side]:
    topology = lab.running_world().topology
    return {client.name: side(topology, client) for client in topology.clients()}


@pytest.fixture(scope="module")
def cell(matrix: Matrix) -> Callable[[str, str], CallReport]:
    by_sites = {(matrix.sites[one.caller], matrix.sites[one.callee]): one for one in matrix.cells}
    return lambda caller, callee: by_sites[caller, callee]


@pytest.mark.parametrize(("caller", "callee"), PAIRS, ids=[f"{one}-{two}" for one, two in PAIRS])
def test_a_pair_takes_a_path_that_its_networks_allow(
    cell: Callable[[str, str], CallReport],
    sides: dict[str, Side],
    known: dict[str, object],
    caller: str,
    callee: str,
) -> None:
    found = cell(caller, callee)
    allowed = expected(sides[found.caller], sides[found.callee]).accepted
    both = [known[name] for name in (found.caller, found.callee)]
    assert any(found.holds(path) for path in allowed), (str(found), sorted(allowed), both)


def test_no_capture_lost_a_packet(matrix: Matrix) -> None:
    assert matrix.dropped_by_captures == {}
