"""Compose is asked for so many containers at once and no more, for each of them, and no further where it fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import RuntimeUnavailable
from lab.runtime.lifecycle import AT_ONCE, compose_up

COMPOSE = """#!/bin/sh
echo "$COMPOSE_PROJECT_NAME $*" >> "$CALLS"
case "$*" in *sick*) echo "ERROR: for sick no room"; exit 1;; esac
"""
NODES = [f"node-{number}" for number in range(2 * AT_ONCE + 1)]


def up(folder: Path, nodes: list[str], told: Callable[[int], object] = lambda nodes: None) -> list[list[str]]:
    """The nodes of each call of Compose."""
    compose, calls = folder / "compose", folder / "calls"
    compose.write_text(COMPOSE)
    compose.chmod(0o755)
    file = folder / "lab.yml"
    try:
        compose_up([str(compose)], "mine", file, nodes, folder / "state" / "log", {"CALLS": str(calls)}, told)
    finally:
        lines = [line.split() for line in calls.read_text().splitlines()]
        assert all(line[0] == "mine" and line[line.index("--file") + 1] == str(file) for line in lines)
        found = [line[line.index("--remove-orphans") + 1 :] for line in lines]
    return found


def test_every_node_is_started_and_never_too_many_at_once(tmp_path: Path) -> None:
    told: list[int] = []
    calls = up(tmp_path, NODES, told.append)
    assert told == [AT_ONCE, 2 * AT_ONCE], "how far it is, while it goes on"
    assert [node for nodes in calls for node in nodes] == NODES
    assert [len(nodes) for nodes in calls] == [AT_ONCE, AT_ONCE, 1]


def test_where_one_does_not_start_no_more_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"could not start lab\.yml: ERROR: for sick no room"):
        up(tmp_path, ["sick", *NODES])
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
