"""Ports that nobody can name, found through real routers forty times for each hard kind of pair: how often, how soon.

Several calls at a time, each between clients that are in no other. A campaign lasts a minute or two.
"""

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange
from lab.harness.matrix import Matrix
from lab.runtime.exec import ExecStream
from tests.shares import DEMANDS, TRIES, after_the_answer, shortfall
from tests.theory import Search

pytestmark = pytest.mark.timeout(600)

Pair = tuple[str, str]
STEADY = ("port-restricted-1-pc", "port-restricted-2-pc")
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


def campaign(lab: Lab, ones: Sequence[str], others: Sequence[str]) -> Matrix:
    """TRIES calls between these clients, everyone with everyone in turn, half of them called from either side."""
    rounds = [[(one, others[(place + shift) % len(others)]) for place, one in enumerate(ones)] for shift in (0, 1)]
    there = [pair for one_round in rounds for pair in one_round]
    both_ways = [*there, *((callee, caller) for caller, callee in there)]
    return lab.calls((both_ways * TRIES)[:TRIES])


def found(matrix: Matrix) -> list[float | None]:
    """Seconds from the answer to the punched path, of each call; all of them are judged, and each says so."""
    assert not matrix.failed and len(matrix.cells) == TRIES, matrix.failed
    took = [after_the_answer(cell, "punched/udp") for cell in matrix.cells]
    print(
        f"{sum(one is not None for one in took)} of {len(took)}:",
        *sorted(f"{one:.2f}" for one in took if one is not None),
    )
    return took


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


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another flow"])
def test_a_router_that_counts_is_foreseen(lab: Lab, beside: bool) -> None:
    with flows_beside(lab, COUNTING) if beside else contextlib.nullcontext():
        took = found(campaign(lab, COUNTING, STEADY))
    assert shortfall(took, DEMANDS[Search.FORESEEN], doubt=None) is None


def test_two_routers_that_count_meet(lab: Lab) -> None:
    took = found(lab.calls([COUNTING, COUNTING[::-1]] * (TRIES // 2)))
    assert shortfall(took, DEMANDS[Search.FORESEEN], doubt=None) is None


def test_a_router_that_draws_is_found_by_trying(lab: Lab) -> None:
    took = found(campaign(lab, DRAWING, STEADY))
    assert shortfall(took, DEMANDS[Search.TRIED], doubt=None) is None


@pytest.fixture
def hard_subscribers(lab: Lab) -> Iterator[Lab]:
    """The homes behind both carriers have symmetric routers, where carriers deal each a block of 1,024 ports."""
    homes = ("mobile-1", "mobile-2", "mobile-4")
    for home in homes:
        lab.set(home, SiteChange(profile="symmetric", axes="udp-timeout=15"))
    lab.settle()
    yield lab
    for home in homes:
        lab.set(home, SiteChange(profile="linux", axes="udp-timeout-one-way=10 udp-timeout=20"))
    lab.settle()


def test_two_routers_that_draw_meet_in_the_blocks_of_their_carriers(hard_subscribers: Lab) -> None:
    """Of each two calls at a time one is between two carriers, the other within one, that turns packets back."""
    pairs = [("mobile-3-pc", "mobile-4-pc"), ("mobile-1-pc", "mobile-2-pc")]
    both_ways = [*pairs, *((callee, caller) for caller, callee in pairs)]
    took = found(hard_subscribers.calls(both_ways * (TRIES // len(both_ways))))
    assert shortfall(took, DEMANDS[Search.BLOCKS], doubt=None) is None
