"""What a machine has to spare is measured, and one that has nothing becomes nobody's supernode."""

import asyncio
import resource
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lab.node import hosting, spare
from lab.node.hosting import Hosted, Hosting
from lab.node.journal import Journal
from lab.node.shell import Shell
from lab.node.spare import FILES_KEPT, LATE, LEAST_PLACES, MEMORY_EACH, MOST_PLACES, Spare, measured
from lab.node.tls import client_context
from lab.overlay.candidacy import AskedForSpare
from lab.overlay.client import Client
from lab.overlay.supernode import Supernode
from tests.unit.node.test_shell import until
from tests.unit.overlay.fakenet import FakeNet

MUCH = 1 << 40


@pytest.mark.parametrize(
    ("files", "memory", "wanted", "room"),
    [
        (10_000, MUCH, 200, 200),  # as much as its user would give
        (FILES_KEPT + 30, MUCH, 200, 30),
        (10_000, 2 * MEMORY_EACH * 7, 200, 7),  # half of what is free
        (FILES_KEPT - 10, MUCH, 200, 0),
    ],
)
def test_there_is_room_for_what_files_and_memory_allow(files: int, memory: int, wanted: int, room: int) -> None:
    found = Spare(files, memory, 0.0)
    assert found.room(wanted) == room
    assert (found.lacking(wanted) is None) == (room > 0)


def test_a_machine_that_is_busy_or_full_says_so() -> None:
    assert "timers come 250 ms late" in str(Spare(10_000, MUCH, 0.25).lacking(200))
    assert "room for 1: 65 open files" in str(Spare(FILES_KEPT + 1, MUCH, 0.0).lacking(200))
    assert Spare(10_000, MUCH, 0.0).lacking(1) is None, "who would take one alone may"


@pytest.mark.parametrize(
    ("files", "memory", "late", "places"),
    [
        (1_000_000, MUCH, 0.0, MOST_PLACES),
        (1024, MUCH, 0.0, 1024 - FILES_KEPT),
        (1_000_000, 2 * MEMORY_EACH * 700, 0.0, 700),
        (256, MUCH, 0.0, LEAST_PLACES),
        (1_000_000, 0, 0.0, LEAST_PLACES),
        (1_000_000, MUCH, 2 * LATE, LEAST_PLACES),
    ],
)
def test_a_supernode_has_places_for_what_its_machine_allows(files: int, memory: int, late: float, places: int) -> None:
    assert Spare(files, memory, late).places == places


def test_this_machine_is_measured() -> None:
    found = asyncio.run(measured())
    assert 0 < found.files < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert found.memory > 1 << 20
    assert found.late >= 0.0


@pytest.mark.slow
def test_a_loop_that_is_held_up_is_late() -> None:
    async def held_up() -> Spare:
        async def hog() -> None:
            while True:
                time.sleep(2 * LATE)  # noqa: ASYNC251 - that is what is tested
                await asyncio.sleep(0)

        task = asyncio.get_running_loop().create_task(hog())
        found = await measured()
        task.cancel()
        return found

    assert asyncio.run(held_up()).late > LATE


def test_a_container_s_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spare, "CGROUP", tmp_path)
    free = spare._memory()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert spare._memory() > 1_000_000
    (tmp_path / "memory.max").write_text("5000\n")
    assert spare._memory() == 4000 < free


def test_a_supernode_beside_is_told_what_its_machine_has_to_spare_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [Spare(10_000, MUCH, 2 * LATE), Spare(10_000, MUCH, 2 * LATE), Spare(FILES_KEPT + 30, MUCH, 0.0)]

    async def look() -> Spare:
        return looks.pop(0)

    async def story() -> None:
        membership = replace(FakeNet().membership("alice", "127.0.0.1", "198.51.100.20"), supernodes=())
        client = Client(membership, ())
        machine = Supernode(replace(membership, capacity=200), promoted=True)
        shells = [Shell(each, client_context(), lambda event: None) for each in (client, machine)]
        beside = Hosting(client, shells[0], Journal("alice"), lambda event: None)
        beside.hosted = Hosted(machine, shells[1], 0.0)
        for capacity in (200, 0, 30):
            assert beside.event(AskedForSpare("supernode"))
            await until(lambda: not beside.opening)
            assert machine.admission.capacity == capacity

    monkeypatch.setattr(hosting, "measured", look)
    asyncio.run(story())
