"""A second lab with subnets of its own runs beside the first, and neither notices the other."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from second_lab import KEPT, SECOND, second_lab
from typed import cli

from lab.harness import Lab


@pytest.fixture
def second(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """Park and home alone, as a lab of another name; `lab` runs meanwhile."""
    with second_lab(tmp_path) as found:
        yield found


def test_a_second_lab_runs_beside_the_first_and_goes_without_touching_it(lab: Lab, second: Lab) -> None:
    first = lab.running_world()
    here, there = first.topology, second.running_world().topology
    assert {node.name for node in there.nodes} == KEPT
    assert not {str(one.subnet) for one in here.networks} & {str(one.subnet) for one in there.networks}
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(one.call, "bob", "alice", seconds=2) for one in (lab, second)]
        reports = [call.result() for call in calls]
    assert all(report.holds("direct/udp") for report in reports), [str(report) for report in reports]
    changed = cli("--lab", SECOND, "set", "home", "--delay", "50ms", "--json")
    assert changed.returncode == 0 and "50ms" in changed.stdout, changed
    links = json.loads(cli("set", "home", "--delay", "10ms", "--json").stdout)["link"]["ways"]
    assert {text for text in links.values() if text} == {"delay=10ms"}, "one lab's link is not the other's"

    assert cli("--lab", SECOND, "down").returncode == 0
    assert second.world() is None
    assert lab.running_world() == first
    assert all(node.state == "ready" for node in lab.status().nodes)
    assert lab.call("bob", "frank", seconds=2).holds("punched/udp")
