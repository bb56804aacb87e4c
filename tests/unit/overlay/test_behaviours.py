"""What follows from outer addresses, and when nothing does."""

import pytest

from lab.overlay.behaviours import Heard, Sample, allocation, block, contradicts, filtering, mapping, outer_host
from lab.wire.addresses import Address

A, A2, B = ("203.0.113.11", 3478), ("203.0.113.11", 3479), ("203.0.113.12", 3478)
OUTER = "203.0.113.40"
OWN = [("192.168.1.2", 5000)]


def samples(*outers: Address, port: int = 5000) -> list[Sample]:
    return [Sample(port + at, (A, B)[at % 2][0], outer) for at, outer in enumerate(outers)]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({A: 1, B: 1, A2: 1}, "endpoint-independent"),
        ({A: 1, B: 1}, "endpoint-independent"),
        ({A: 1, B: 2, A2: 1}, "address-dependent"),
        ({A: 1, B: 2, A2: 3}, "address-and-port-dependent"),
        ({A: 1, A2: 3}, "address-and-port-dependent"),
        ({A: 1, B: 2}, None),
        ({A: 1, A2: 1}, None),
        ({B: 1}, None),
        ({A: 1, B: 1, A2: 2}, None),  # no router does that
        ({}, None),
    ],
)
def test_mapping(ports: dict[Address, int], expected: str | None) -> None:
    seen = {server: (OUTER, 5000 + port) for server, port in ports.items()}
    assert mapping(OWN, OUTER, seen, A2) == expected


def test_who_is_seen_under_its_own_address_is_not_translated() -> None:
    assert mapping(OWN, OWN[0][0], {A: OWN[0], B: OWN[0]}, A2) == "none"


def test_a_minority_of_supernodes_is_not_believed() -> None:
    third = ("203.0.113.13", 3478)
    seen = {A: (OUTER, 1), B: ("198.51.100.9", 7), third: (OUTER, 1), A2: (OUTER, 1)}
    assert outer_host([Sample(1, server[0], outer) for server, outer in seen.items()]) == OUTER
    assert mapping(OWN, OUTER, seen, A2) == "endpoint-independent"


def test_two_supernodes_that_disagree_leave_it_open() -> None:
    assert outer_host(samples((OUTER, 1), ("198.51.100.9", 1))) is None
    assert outer_host([]) is None


def test_one_that_never_sees_what_the_other_always_sees_contradicts_it() -> None:
    true, false = (OUTER, 5000), (OUTER, 4444)
    assert contradicts([Sample(5000, A[0], true), Sample(5000, B[0], false)])
    assert not contradicts([Sample(5000, A[0], true), Sample(5000, B[0], true), Sample(5001, B[0], (OUTER, 9))])


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (Heard(True, True, True, True), "endpoint-independent"),
        (Heard(False, False, True, False), "endpoint-independent"),
        (Heard(True, True, False, True), "address-dependent"),
        (Heard(True, False, False, True), "address-and-port-dependent"),
        (Heard(True, False, False, False), "address-and-port-dependent"),
        (Heard(True, True, False, False), None),  # the other address cannot answer
        (Heard(False, False, False, True), None),
    ],
)
def test_filtering(heard: Heard, expected: str | None) -> None:
    assert filtering(heard, "endpoint-independent") == expected


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ((5000, 5001, 5002, 5003), "preserving"),
        ((5000, 5001, 9000, 5003), "preserving"),
        ((7000, 7001, 7005, 7009), "sequential"),
        ((7000, 7001, 7002, 1024, 1025, 1026), "sequential"),  # the counter begins anew
        ((7000, 32000, 900, 45000), "random"),
        ((7000, 7001, 7002), None),
    ],
)
def test_allocation(ports: tuple[int, ...], expected: str | None) -> None:
    assert allocation(samples(*((OUTER, port) for port in ports))) == expected


def test_a_block_is_the_least_that_holds_all_ports() -> None:
    assert block([32768 + 80 * at for at in range(12)]) == (32768, 33791)
    assert block([32768 + 80 * at for at in range(11)]) is None
    assert block([32768 + 300 * at for at in range(12)]) is None
    ports = block([10_000 + 80 * at for at in range(12)])
    assert ports is not None and ports[0] < 10_000 and ports[1] > 10_900
