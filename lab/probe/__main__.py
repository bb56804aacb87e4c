"""`python3 -m lab.probe SETTINGS`: attach, then obey orders on stdin and report on stdout, one JSON object a line.

Belongs here: the loop. Orders come through the engine; nothing of them crosses the lab's networks. When stdin ends, so
does the container: whatever happened to the program that ordered, nothing is left.
"""

import contextlib
import heapq
import json
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from lab.boot import attach
from lab.errors import LabError, ProtocolError
from lab.probe import host, stun, through
from lab.probe.crafting import Spec, craft
from lab.probe.reading import Reader
from lab.probe.train import Arrivals, Template

_MOST_AT_ONCE = 64  # packets read before orders and trains get their turn


class Probe:
    """One host. `say` takes what goes to the one who orders."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """`role`, as lab.boot knows it; `own`: an address that it keeps, IPv6 where the site has no IPv4; `hold`: more
        of them, with their prefixes; `stun`: {"addresses", "ports", "fixed"} of an RFC 5780 server; `listen`:
        [address, port, ...] of the kernel's TCP; `kernel_ports`: TCP ports of others that the kernel talks with."""
        (attach.attach_alone if ":" in settings["own"] else attach.attach)(settings["role"], os.environ)
        host.hold(settings.get("hold", ()), settings["own"])
        listen = settings.get("listen")
        host.hush([listen[0]] if listen else [], settings.get("kernel_ports", ()))
        if listen:
            for port in listen[1:]:
                through.listen(listen[0], int(port))
        self._stun = settings.get("stun")
        self._deaf_to = {listen[0]} if listen else set()
        self._deaf_to_ports = set(settings.get("kernel_ports", ()))
        self._wire = host.Wire()
        self._reader = Reader()
        self._arrivals = Arrivals()
        self._due: list[tuple[float, int, Any]] = []
        self._count = 0
        self._trains: dict[int, _Train] = {}
        self._out = threading.Lock()
        self._orders = b""

    def run(self) -> None:
        """Until stdin ends."""
        with selectors.DefaultSelector() as ready:
            ready.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
            for tap in self._wire.incoming:
                ready.register(tap, selectors.EVENT_READ, tap)
            self._say({"event": "ready"})
            while True:
                for key, _ in ready.select(self._pause()):
                    if key.data is not None:
                        self._hear(key.data)
                    elif not self._read_orders():
                        return
                self._send_due()

    # orders

    def _read_orders(self) -> bool:
        data = os.read(sys.stdin.fileno(), 1 << 16)
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(data)

    def _obey(self, order: dict[str, Any]) -> None:
        try:
            answer = getattr(self, f"_order_{order['order']}")(order)
        except (LabError, OSError, AttributeError, KeyError, ValueError) as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        if answer is not None:
            self._say({"id": order["id"], "ok": True, **answer})

    def _order_send(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send each description once, in order; `at`: the epoch second at which the last one left."""
        for spec in order["packets"]:
            self._send(spec)
        return {"at": time.time()}

    def _order_train(self, order: dict[str, Any]) -> dict[str, Any]:
        """Start a train: `count` packets like `packet`, `gap_s` apart; `size`: the bytes of each."""
        count, gap = int(order["count"]), float(order["gap_s"])
        template = Template(order["packet"], order["train"])
        self._trains[order["train"]] = train = _Train(template, order["packet"], count, gap)
        self._plan(time.monotonic(), train)
        return {"size": template.size}

    def _order_departures(self, order: dict[str, Any]) -> dict[str, Any]:
        """How late the packets of a train left, seconds, in the order of time; then forget it."""
        return {"late_s": self._trains.pop(order["train"]).late_s}

    def _order_arrivals(self, order: dict[str, Any]) -> dict[str, Any]:
        """What came of a train, after all that waits to be read has been read."""
        self._drain()
        return self._arrivals.result(order["train"])

    def _order_barrier(self, order: dict[str, Any]) -> dict[str, Any]:
        """Answer after everything that has come so far was reported."""
        self._drain()
        return {}

    def _order_connect(self, order: dict[str, Any]) -> None:
        """Through a proxy, by the kernel's TCP; answered when it is over."""

        def work() -> None:
            self._say({"id": order["id"], "ok": True, **through.connect(*order["arguments"])})

        threading.Thread(target=work, daemon=True).start()

    # packets

    def _send(self, spec: Spec) -> None:
        for data in craft(spec):
            self._wire.send(data, str(spec["dst"]))

    def _hear(self, tap: Any) -> bool:
        """Read some of what waits; False where nothing did."""
        for count in range(_MOST_AT_ONCE):
            try:
                data, at_ns = self._wire.receive(tap)
            except BlockingIOError:
                return count > 0
            if self._arrivals.take(data, at_ns):
                continue
            with contextlib.suppress(Exception):  # whatever a stranger sends; scapy raises many kinds
                self._report(data, at_ns)
        return True

    def _report(self, data: bytes, at_ns: int) -> None:
        said = self._reader.read(data)
        if said is None or said["dst"] in self._deaf_to or said.get("sport") in self._deaf_to_ports:
            return
        if self._stun and said["proto"] == "udp" and "token" not in said:
            self._serve_stun(data, said, self._stun)
            return
        self._say({"event": "seen", "at": at_ns / 1e9, **said})

    def _serve_stun(self, data: bytes, said: Mapping[str, Any], server: Mapping[str, Any]) -> None:
        head = 48 if data[0] >> 4 == 6 else 28
        source, at = (said["src"], said["sport"]), (said["dst"], said["dport"])
        answer = stun.answer(data[head:], source, at, server["addresses"], server["ports"], server["fixed"])
        if answer is not None:
            ends = {"src": answer.source[0], "sport": answer.source[1], "dst": answer.to[0], "dport": answer.to[1]}
            self._send({"proto": "udp", **ends, "raw": answer.data})

    def _drain(self) -> None:
        for tap in self._wire.incoming:
            while self._hear(tap):
                pass

    # time

    def _plan(self, at: float, work: "_Train") -> None:
        self._count += 1
        heapq.heappush(self._due, (at, self._count, work))

    def _pause(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            at, _, train = heapq.heappop(self._due)
            self._wire.send(train.template.stamped(train.sent, time.time_ns()), str(train.spec["dst"]))
            train.late_s.append(round(time.monotonic() - at, 6))
            train.sent += 1
            if train.sent < train.count:
                self._plan(at + train.gap_s, train)

    def _say(self, what: Mapping[str, Any]) -> None:
        data = json.dumps(what).encode() + b"\n"
        with self._out:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


class _Train:
    def __init__(self, template: Template, spec: Spec, count: int, gap_s: float) -> None:
        self.template, self.spec, self.count, self.gap_s = template, spec, count, gap_s
        self.sent = 0
        self.late_s: list[float] = []


def main(arguments: list[str]) -> int:
    """Run until stdin ends, then end the container; 2 where it could not start."""
    try:
        if len(arguments) != 1:
            raise ProtocolError(f"expected one JSON object of settings, got {len(arguments)} arguments")
        Probe(json.loads(arguments[0])).run()
    except (LabError, OSError, KeyError, ValueError, StopIteration) as error:
        print(json.dumps({"event": "failed", "error": f"{type(error).__name__}: {error}"}), flush=True)
        return 2
    finally:
        with contextlib.suppress(OSError):
            os.kill(1, signal.SIGTERM)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
