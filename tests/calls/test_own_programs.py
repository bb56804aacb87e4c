"""Programs that the lab does not know, behind its routers: run, heard, and judged by their packets."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from typed import PROGRAM, ROOT, cli

SAYING = "while sleep 0.02; do printf %0100d 0; done | socat -u -b100 STDIN UDP:{}:7000"


@contextmanager
def running(site: str, *command: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`lab run`, and the address that it tells."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([PROGRAM, "run", site, "--", *command], cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            told = re.search(r"at ([0-9.]+), behind", process.stderr.readline())
            assert told is not None
            yield process, told[1]
        finally:
            process.terminate()


def test_what_a_program_says_is_heard_and_its_path_is_told() -> None:
    with running("park", "socat", "-u", "UDP-RECV:7000", "STDOUT") as (hears, at):
        with running("home", "sh", "-c", SAYING.format(at)):
            assert hears.stdout is not None
            assert set(hears.stdout.read(1000)) == {"0"}
            found = cli("verdict", "--live", "home", "park", "--seconds", "3", "--json")
        verdict = json.loads(found.stdout)
        assert found.returncode == 0, found.stderr
        assert (verdict["kind"], verdict["transport"], verdict["via"]) == ("direct", "udp", None)
        assert f"park {at}:7000" in verdict["why"]


def test_a_program_leaves_with_its_own_status_and_leaves_nothing() -> None:
    before = subprocess.run(["docker", "ps", "-aq"], capture_output=True, text=True, check=True).stdout
    assert cli("run", "office", "--", "sh", "-c", "exit 3").returncode == 3
    assert subprocess.run(["docker", "ps", "-aq"], capture_output=True, text=True, check=True).stdout == before


def test_a_program_has_no_capability_and_is_behind_the_router() -> None:
    seen = cli("run", "bank", "--", "grep", "Cap", "/proc/self/status").stdout
    assert {line.split()[1] for line in seen.splitlines()} == {"0000000000000000"}
    blocked = cli("run", "bank", "--", "socat", "-u", "/dev/null", "TCP:198.51.100.18:80,connect-timeout=2")
    assert blocked.returncode != 0 and "timed out" in blocked.stderr.lower(), blocked


def test_where_nothing_flows_the_verdict_fails() -> None:
    found = cli("verdict", "--live", "flat", "office", "--seconds", "1")
    assert found.returncode == 1 and "nothing flows between flat and office" in found.stderr
