"""What a router remembers, on a real one: `lab nat --watch` shows a mapping come and go."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typed import PROGRAM, ROOT, cli

from lab.harness import Lab

LIVES = 30
"""Seconds that a Linux router keeps a UDP mapping that nobody has answered: the profile's own."""


@contextmanager
def changes(site: str) -> Iterator[Iterator[dict[str, Any]]]:
    """`lab nat SITE --watch --json`, line by line."""
    command = [PROGRAM, "nat", site, "--watch", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            yield map(json.loads, watching.stdout)
        finally:
            watching.kill()


@pytest.mark.timeout(120)
def test_a_mapping_is_seen_to_appear_and_to_expire_when_its_time_has_run_down(lab: Lab) -> None:
    address = next(str(one) for one in lab.running_world().topology.node("relay-1").addresses if one.version == 4)
    remote = f"{address}:9"  # where nothing listens
    with changes("flat") as found:
        assert cli("run", "flat", "--", "sh", "-c", f"echo hello | socat -u STDIN UDP:{remote}").returncode == 0
        ours = (one for one in found if one["flow"] and one["flow"]["remote_address"] == remote)
        appeared = next(ours)
        assert appeared["happened"] == "appeared" and appeared["flow"]["state"] == "one-way", appeared
        assert appeared["flow"]["remote"] == "relay-1:9" and appeared["mapping"]["protocol"] == "udp"
        assert 0 < appeared["flow"]["seconds_left"] <= LIVES
        expired = next(ours)
    assert expired["happened"] == "expired", expired
    assert appeared["flow"]["seconds_left"] - 2 <= expired["at"] - appeared["at"] <= LIVES + 5
