"""Ports that nobody can name, found through real routers forty times for each hard kind of pair: how often, how soon.

Several calls at a time, each between clients that are in no other; six minutes in all, most of them for two sides that
meet in their carriers' blocks.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import pytest

from lab.harness import Lab
from lab.harness.call_report import CallReport
from lab.harness.changing import SiteChange
from lab.harness.matrix import Matrix
from lab.runtime.exec import ExecStream
from tests.shares import DEMANDS, TRIES, after_the_answer, shortfall
from tests.theory import Search

pytestmark = pytest.mark.timeout(900)

Pair = tuple[str, str]
STEADY = ("port-restricted-1-pc", "port-restricted-2-pc")
LINUX = ("linux-1-pc", "linux-2-pc")
"""Endpoint-independent, and they filter by port."""
COUNTING = ("sequential-1-pc", "sequential-2-pc")
DRAWING = ("symmetric-1-pc", "symmetric-2-pc")
BESIDE = """
import itertools, select, socket, sys
beside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in itertools.count():
    beside.sendto(b"beside", (sys.argv[1], 20000 + number % 40000))
    if select.select([sys.stdin], [], [], 1.0)[0]:
        break
print(number + 1)
"""
"""A flow of another program that takes a port of the router each second, until its stdin ends; tells how many."""


def in_turn(ones: Sequence[str], others: Sequence[str]) -> list[Pair]:
    """TRIES calls between these clients, everyone with everyone, half of them called from either side."""
    there = [(one, others[(place + shift) % len(others)]) for shift in (0, 1) for place, one in enumerate(ones)]
    both_ways = [*there, *((callee, caller) for caller, callee in there)]
    return (both_ways * TRIES)[:TRIES]


KINDS: dict[str, tuple[list[Pair], Search]] = {
    "both draw from a carrier's block": (in_turn(("mobile-3-pc",), ("mobile-4-pc",)), Search.BLOCKS),
    "one counts": (in_turn(COUNTING, STEADY), Search.FORESEEN),
    "one draws": (in_turn(DRAWING, LINUX), Search.TRIED),
    "both count": (in_turn(COUNTING[:1], COUNTING[1:]), Search.FORESEEN),
}
"""The longest first: the others go on beside it, as their clients are free."""


def found(cells: Iterable[CallReport], wanted: Sequence[Pair]) -> list[float | None]:
    """Seconds from the answer to the punched path, of the calls between these pairs; each of them is as it says."""
    own = [cell for cell in cells if (cell.caller, cell.callee) in wanted]
    assert len(own) == TRIES and all(cell.holds() for cell in own), [str(cell) for cell in own if not cell.holds()]
    took = [after_the_answer(cell, "punched/udp") for cell in own]
    print(f"{TRIES - took.count(None)} of {TRIES}:", *sorted(f"{one:5.2f}" for one in took if one is not None))
    return took


@pytest.fixture(scope="module")
def campaign(lab: Lab) -> Iterator[Matrix]:
    """Every kind of pair, all at the same time. The homes behind both carriers have symmetric routers meanwhile; each
    gets a block of 1,024 ports."""
    lab.set("mobile-4", SiteChange(profile="symmetric", axes="udp-timeout=15"))
    lab.settle()
    yield lab.calls([pair for pairs, _ in KINDS.values() for pair in pairs])
    lab.set("mobile-4", SiteChange(profile="linux", axes="udp-timeout-one-way=10 udp-timeout=20"))
    lab.settle()


@contextlib.contextmanager
def flows_beside(lab: Lab, clients: Sequence[str]) -> Iterator[None]:
    """Each client's machine has another program that sends to a new port of a supernode every second."""
    world = lab.running_world()
    (target,) = world.topology.node("supernode-2").attachments
    with contextlib.ExitStack() as stack:
        argv = ["python3", "-c", BESIDE, str(target.address.ip)]
        flows = [
            stack.enter_context(ExecStream(lab.engine, world.running(one).id, argv, stdin=True)) for one in clients
        ]
        yield
        for flow in flows:
            flow.close_stdin()
            said = b"".join(data for _, data in flow.chunks())
            assert int(said) > TRIES / 4, said  # it ran all the time: no campaign is through in ten seconds


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_nobody_can_name_is_found(campaign: Matrix, kind: str) -> None:
    pairs, search = KINDS[kind]
    assert shortfall(found(campaign.cells, pairs), DEMANDS[search], doubt=None) is None


@pytest.mark.parametrize("kind", ["one counts", "both count"])
def test_a_router_that_counts_is_foreseen_beside_another_flow(lab: Lab, kind: str) -> None:
    """By a window of ports, and by a port where the two meet."""
    pairs, search = KINDS[kind]
    with flows_beside(lab, COUNTING):
        matrix = lab.calls(pairs)
    assert shortfall(found(matrix.cells, pairs), DEMANDS[search], doubt=None) is None


@pytest.fixture(scope="module")
def by_address(lab: Lab) -> Iterator[None]:
    """The routers that count give a port to each address meanwhile, and not to each port of it."""
    for client in COUNTING:
        site = client.removesuffix("-pc")
        lab.set(site, SiteChange(axes="mapping=address-dependent filtering=address-dependent udp-timeout=15"))
    lab.settle()
    lab.find_out()
    yield
    for client in COUNTING:
        lab.set(client.removesuffix("-pc"), SiteChange(axes="udp-timeout=15 tcp-transitory-timeout=10"))
    lab.settle()


@pytest.mark.parametrize("kind", ["one counts", "both count"])
@pytest.mark.usefixtures("by_address")
def test_a_router_that_counts_by_address_is_foreseen(lab: Lab, kind: str) -> None:
    pairs, search = KINDS[kind]
    learnt = {node.name: (node.network or {}) for node in lab.status().nodes}
    assert {learnt[one].get("mapping") for one in COUNTING} == {"address-dependent"}
    matrix = lab.calls(pairs)
    assert shortfall(found(matrix.cells, pairs), DEMANDS[search], doubt=None) is None
