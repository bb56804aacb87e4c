"""`python -m tests.bench`: processor time a relayed packet, this relay and coturn in turn, round after round.

UDP: what the whole machine did more than with the same load and nobody to relay it, interrupts included, in the
quietest round of each. TCP, where no load exists without a receiver: what the relay's processes used, the median.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.contenders import Contender, Coturn, Flow, Own
from tests.bench.load import PACKET_EVERY, stream, udp_frame
from tests.bench.stage import Stage, busy, used

TARGETS = {"relay, user space": 1.1, "relay, kernel": 0.3, "relay, kernel + binds": 0.3, "relay, TCP": 1.0}
"""Of coturn's cost, by what this relay does."""


def main() -> int:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--calls", type=int, default=300)
    options.add_argument("--tcp-calls", type=int, default=100)
    options.add_argument("--seconds", type=float, default=8.0)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    console = Console()
    if os.geteuid() or not all(map(shutil.which, ("ip", "nft", "turnserver"))):
        console.print("make bench: run it as root, with iproute2, nftables and coturn installed")
        return 2
    stage = Stage()
    try:
        bench = Bench(stage, asked.seconds)
        for _ in range(asked.rounds):
            with console.status("nobody relays"):
                bench.nobody()
            for contender in (Coturn(stage), Own(stage, kernel=False), Own(stage, kernel=True)):
                with console.status(f"{contender.name}, UDP"):
                    bench.udp(contender, asked.calls)
            with console.status("relay, kernel, with binds"):
                bench.udp(Own(stage, kernel=True), asked.calls, binds=True)
            for contender in (Coturn(stage), Own(stage, kernel=False)):
                with console.status(f"{contender.name}, TCP"):
                    bench.tcp(contender, asked.tcp_calls)
        missed = bench.show(console, asked.calls, asked.tcp_calls)
    finally:
        stage.close()
    return 1 if missed else 0


class Bench:
    """Figures by what was measured, one a round: seconds of the machine, microseconds a packet of the processes."""

    def __init__(self, stage: Stage, seconds: float) -> None:
        self.stage, self.seconds = stage, seconds
        self.machine: dict[str, list[float]] = defaultdict(list)
        self.processes: dict[str, list[float]] = defaultdict(list)
        self.through: dict[str, list[float]] = defaultdict(list)
        self.came: dict[str, list[int]] = defaultdict(list)
        self.alone: list[float] = []
        self.frames = b""

    def nobody(self) -> None:
        """The load of UDP with nobody to relay it; the first time, nothing has been set up and there is none."""
        if not self.frames:
            return
        with self.stage.swallowing():
            before = busy()
            self._play(self.frames)
            self.alone.append(busy() - before)

    def udp(self, contender: Contender, calls: int, binds: bool = False) -> None:
        contender.start()
        try:
            voice, asking = contender.udp(calls)
            frames = self._frames(voice, asking if binds else [])
            if not self.frames:
                self.frames = frames
                self.nobody()
            with self.stage.counting():
                before, own = busy(), used(contender.pids)
                self._play(frames)
                more, own = busy() - before, used(contender.pids) - own
                came = self.stage.counted()
        finally:
            contender.stop()
        name = contender.name + (" + binds" if binds else "")
        self._keep(name, more, own, came, 2 * calls * self.seconds / PACKET_EVERY)
        self.came[name].append(came)

    def tcp(self, contender: Contender, calls: int) -> None:
        contender.start()
        try:
            connections, frames, size = contender.tcp(calls)
            before, own = busy(), used(contender.pids)
            came = stream(connections, frames, self.seconds) // size
            more, own = busy() - before, used(contender.pids) - own
        finally:
            contender.stop()
        name = "coturn, TCP" if isinstance(contender, Coturn) else "relay, TCP"
        self._keep(name, more, own, came, 2 * calls * self.seconds / PACKET_EVERY)

    def _keep(self, name: str, machine: float, own: float, came: int, sent: float) -> None:
        self.machine[name].append(machine)
        self.processes[name].append(own * 1e6 / max(came, 1))
        self.through[name].append(came / sent)

    def _frames(self, voice: list[Flow], binds: list[Flow]) -> bytes:
        with self.stage.inside("relay"):
            there = _hardware("relay")
        with self.stage.inside("load"):
            macs = there + _hardware("load")
        made = [[udp_frame(macs, *flow) for flow in flows] for flows in (voice, binds)]
        return bytes(2).join(b"".join(len(f).to_bytes(2, "big") + f for f in frames) for frames in made)

    def _play(self, frames: bytes) -> None:
        command = [sys.executable, "-m", "tests.bench.load", "load", str(self.seconds)]
        with self.stage.inside("load"):
            subprocess.run(command, input=frames, check=True, cwd=Path(__file__).parents[2])

    def _whole(self, name: str) -> float:
        """Microseconds that the machine worked for a datagram, without what the load costs alone.

        Of the quietest rounds: whatever else the machine did can only have added to a figure.
        """
        more = min(self.machine[name]) - min(self.alone)
        return more * 1e6 / statistics.median(self.came[name])

    def show(self, console: Console, calls: int, tcp_calls: int) -> int:
        """How many targets were missed."""
        missed = 0
        load = " ".join(f"{part:.2f}" for part in os.getloadavg())
        console.print(
            f"{calls} calls of UDP, {tcp_calls} of TCP, 50 packets/s each way of 120 bytes; load average {load}"
        )
        console.print("Microseconds of processor a packet: of the whole machine, and of the relay's processes alone")
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        for column in ("relay", "machine", "processes", "through", "of coturn", "target"):
            table.add_column(column, justify="left" if column == "relay" else "right", no_wrap=True)
        for name in self.machine:
            tcp = name.endswith("TCP")
            cost = statistics.median(self.processes[name]) if tcp else self._whole(name)
            ratio = cost / (statistics.median(self.processes["coturn, TCP"]) if tcp else self._whole("coturn"))
            target = TARGETS.get(name)
            verdict = "" if target is None else f"{target} {'met' if ratio <= target else 'missed'}"
            missed += target is not None and ratio > target
            style = "" if target is None else "green" if ratio <= target else "red"
            table.add_row(
                name,
                "-" if tcp else f"{cost:.1f}",
                f"{statistics.median(self.processes[name]):.1f}",
                f"{statistics.median(self.through[name]):.1%}",
                f"{ratio:.2f}",
                verdict,
                style=style,
            )
        console.print(table)
        return missed


def _hardware(interface: str) -> bytes:
    words = subprocess.run(["ip", "-br", "link", "show", interface], check=True, capture_output=True, text=True).stdout
    return bytes.fromhex(words.split()[2].replace(":", ""))


if __name__ == "__main__":
    sys.exit(main())
