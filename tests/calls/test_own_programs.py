"""Programs that the lab does not know, behind its routers: run, heard, and judged by their packets."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typed import PROGRAM, ROOT, cli

from lab.harness import Lab

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


def heard_at_the_park(transport: str, heard: str, ending: str = "") -> None:
    """A program at home says something to one at the park, `heard` so by socat; the packets show the direct path."""
    with running("park", "socat", "-u", heard, "STDOUT") as (hears, at):
        saying = SAYING.format(at).replace("UDP:", f"{transport.upper()}:") + ending
        with running("home", "sh", "-c", saying):
            assert hears.stdout is not None
            assert set(hears.stdout.read(1000)) == {"0"}
            found = cli("verdict", "--live", "home", "park", "--seconds", "3", "--json")
    verdict = json.loads(found.stdout)
    assert found.returncode == 0, found.stderr
    assert (verdict["kind"], verdict["transport"], verdict["via"]) == ("direct", transport, None)
    assert f"park {at}:7000" in verdict["why"]


def test_what_a_program_says_is_heard_and_its_path_is_told() -> None:
    heard_at_the_park("udp", "UDP-RECV:7000")


def test_what_a_program_says_over_tcp_is_told_as_tcp() -> None:
    heard_at_the_park("tcp", "TCP-LISTEN:7000", ",retry=50,interval=0.1")  # it may not listen yet


def test_programs_behind_two_routers_that_write_to_each_other_have_punched(lab: Lab) -> None:
    """Both routers keep a host's port, so each program knows where the other one is outside."""
    topology = lab.running_world().topology
    outer = {
        site: next(one.address.ip for one in topology.router_of(site).attachments if one.network == "internet")
        for site in ("home", "flat")
    }
    saying = "while sleep 0.02; do printf %0100d 0; done | socat -b100 STDIO UDP:{}:7000,sourceport=7000"
    with (
        running("home", "sh", "-c", saying.format(outer["flat"])) as (one, _),
        running("flat", "sh", "-c", saying.format(outer["home"])) as (two, _),
    ):
        for hears in (one, two):
            assert hears.stdout is not None
            assert set(hears.stdout.read(1000)) == {"0"}
        found = cli("verdict", "--live", "home", "flat", "--seconds", "3", "--json")
    verdict = json.loads(found.stdout)
    assert found.returncode == 0, found.stderr
    assert (verdict["kind"], verdict["transport"], verdict["via"]) == ("punched", "udp", None)


def test_a_relay_of_ones_own_at_a_third_site_is_named_by_its_address() -> None:
    saying = "while sleep 0.02; do head -c 75 /dev/urandom | base64 -w0; done | socat -b100 STDIO UDP4-DATAGRAM:{}:{}"
    with (
        running("park", "socat", "-b200", "UDP4-LISTEN:7000", "UDP4-LISTEN:7001") as (_, at),
        running("home", "sh", "-c", saying.format(at, 7000)) as (one, _),
        running("office", "sh", "-c", saying.format(at, 7001)) as (two, _),
    ):
        for hears in (one, two):
            assert hears.stdout is not None
            assert len(hears.stdout.read(1000)) == 1000
        found = cli("verdict", "--live", "home", "office", "--seconds", "3", "--json")
    verdict = json.loads(found.stdout)
    assert found.returncode == 0, found.stderr
    assert (verdict["kind"], verdict["transport"], verdict["via"]) == ("relayed", "udp", at)


@pytest.mark.parametrize(("image", "user"), [("lab/node", "lab"), ("lab/base", "root")])
def test_a_program_in_an_image_that_is_named_is_a_host_of_the_site_too(image: str, user: str) -> None:
    """The lab's own image is that by its name as well; another one is run as it is."""
    done = cli("run", "office", "--image", image, "--", "sh", "-c", "id -un; grep CapEff /proc/self/status; exit 3")
    assert done.returncode == 3, done
    who, _, capabilities = done.stdout.partition("\n")
    assert who == user and capabilities.split() == ["CapEff:", "0000000000000000"], done


def test_an_image_that_the_engine_has_not_is_one_sentence() -> None:
    done = cli("run", "office", "--image", "lab/nobody", "--", "true")
    assert done.returncode == 2 and "no image lab/nobody" in done.stderr and done.stdout == "", done


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
    assert found.returncode == 1 and "no flow between flat and office" in found.stderr
