"""Being watched costs calls nothing: eight at once on two cores, captured at every router on their way and at core."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.harness import Lab
from lab.harness.matrix import Matrix
from lab.topology import parse
from tests.theory import side
from tests.zoo.conftest import ROOT, ZOO

WORLD = parse(ZOO)
FIRST = {str(client.site): client.name for client in reversed(WORLD.clients())}
EASY = [name for site, name in FIRST.items() if side(WORLD, WORLD.node(name)).voice_by_udp and not WORLD.behind(site)]
PAIRS = list(zip(EASY[0:16:2], EASY[1:16:2], strict=True))
SECONDS = 10


def test_eight_calls_at_once_lose_no_frame_and_no_capture_loses_a_packet(lab: Lab) -> None:
    found = lab.calls(PAIRS, seconds=SECONDS, at_once=len(PAIRS))
    assert len(found.cells) == len(PAIRS) == 8 and not found.failed
    assert found.dropped_by_captures == {}
    for cell in found.cells:
        for speaker, hearer in ((cell.caller, cell.callee), (cell.callee, cell.caller)):
            heard = cell.media[hearer]
            assert (heard.received, heard.lost) == (cell.media[speaker].sent, 0), (cell, speaker)
        assert cell.media[cell.caller].sent == 50 * SECONDS


def lost(found: Matrix) -> int:
    """Frames that were said and not heard."""
    assert len(found.cells) == len(PAIRS) and not found.failed
    return sum(one.lost for cell in found.cells for one in cell.media.values())


@contextmanager
def watched(told: Path, said: Path) -> Iterator["subprocess.Popen[str]"]:
    """`lab capture --live` of all routers, core and relays, once its first line is there; a line a packet is `told`."""
    command = ["env", "--default-signal=INT", ROOT / ".venv" / "bin" / "lab", "capture", "--live"]
    with (
        told.open("w") as out,
        said.open("w") as err,
        subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err, text=True) as capture,
    ):
        try:
            deadline = time.monotonic() + 60
            while not told.stat().st_size:
                assert capture.poll() is None and time.monotonic() < deadline, said.read_text()
                time.sleep(0.1)
            yield capture
        finally:
            if capture.poll() is None:
                capture.kill()


@pytest.mark.timeout(300)
def test_who_looks_at_every_router_meanwhile_costs_the_calls_nothing_and_is_told_what_was_missed(
    lab: Lab, tmp_path: Path
) -> None:
    alone = lost(lab.calls(PAIRS, seconds=SECONDS, at_once=len(PAIRS)))
    told, said = tmp_path / "told", tmp_path / "said"
    with watched(told, said) as capture:
        found = lab.calls(PAIRS, seconds=SECONDS, at_once=len(PAIRS))
        capture.send_signal(signal.SIGINT)
        assert capture.wait(60) == 130
    assert lost(found) <= alone
    ends = re.search(r"interrupted; ([0-9,]+) packets captured", said.read_text())
    assert ends and int(ends[1].replace(",", "")) > len(PAIRS) * 2 * 50 * SECONDS, said.read_text()
    missed = {
        node: int(number.replace(",", ""))
        for number, node in re.findall(r"the kernel dropped ([0-9,]+) packets at (\S+)", said.read_text())
    }
    lines = told.read_text().splitlines()
    for cell in found.cells:
        for name in (cell.caller, cell.callee):
            router = WORLD.router_of(str(WORLD.node(name).site))
            voice = re.compile(rf"\S+\s+{router.site} lan\s+\[?{name}\]?:\d+ → .*  RTP ")
            seen = sum(bool(voice.match(line)) for line in lines)
            assert seen >= cell.media[name].sent - missed.get(router.name, 0), (cell, name, seen, missed)
