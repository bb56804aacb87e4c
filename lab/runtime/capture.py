"""One running capture inside one container, streamed to a file on this side.

Belongs here: starting, proving, ending a capture. Never: reading what it holds; the judge does.
A capture may serve one call or a long session of many; it ends with this process, however that ends. It outlives its
node: where that is restarted, it goes on in the same file.
"""

import contextlib
import re
import struct
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import DockerException, NotFound

from lab.errors import EvidenceError, RuntimeUnavailable
from lab.runtime.exec import STDOUT, ExecStream, run

PCAP_HEADER = 24
"""Bytes that a pcap file begins with; tcpdump writes them once its socket is open, so from then on packets count."""
REOPEN_SECONDS = 0.05
"""Seconds between two looks at a node that was stopped: its capture goes on as soon as it runs again."""
SURE_SECONDS = 2.0
"""Seconds for which a node has to go on before a capture that has ended there is one that failed: a node that stops
takes its capture along, and a busy engine is a moment late to say so."""

# The marker goes over loopback: a capture on `any` is one socket for all interfaces, in order, so a marker that is
# seen proves that the capture runs and that every packet before it has been handed over. When stdin ends, so does it.
_SCRIPT = """\
tcpdump "$@" & p=$!
while read -r marker; do printf %s "$marker" >/dev/udp/127.0.0.1/9; done
kill -TERM "$p"; wait "$p"
"""
# The same, and after the marker more bytes than tcpdump holds back (4,096): they push out what came before. Then it
# says what it has lost so far; it handles that signal with SA_RESTART, so no write of its own is torn.
_BUFFERED_SCRIPT = _SCRIPT.replace(
    "done", 'printf %08192d 0 >/dev/udp/127.0.0.1/9 2>/dev/null; kill -USR1 "$p" 2>/dev/null; done'
)
_ARGV = ("-i", "any", "-y", "LINUX_SLL2", "-n", "-s", "4096", "--immediate-mode", "-Z", "root")
RING, SMALL_RING = 8192, 2048
"""KiB of a capture's ring, and of one at a place that one call passes at a time. A slot is as large as the longest
packet asked for: two thousand packets, and five hundred."""
_MARKED = "(udp dst port 9 and dst host 127.0.0.1)"
"""The markers, which a filter must let through."""
Heard = Callable[[bytes | None], None]
"""Takes what tcpdump writes as it comes, a file header first; None: its node was restarted, and it begins again there,
without a header."""
COUNT_SECONDS = 0.2
"""Seconds within which tcpdump says what it has lost; it takes a millisecond."""
_MEANWHILE = re.compile(r"^tcpdump: \d+ packets? captured, .*?(\d+) packets? dropped by kernel\n", re.MULTILINE)
"""What it says while it goes on, on one line; in the end each number has its own."""
_WORDS = re.compile(r"(\d+) packets? (captured|dropped by kernel)")


@dataclass(frozen=True)
class Captured:
    """What a capture says of itself: packets written, packets that the kernel dropped before tcpdump had them.

    `unknown`: its node was stopped or restarted, and what the kernel had dropped by then went unsaid.
    """

    node: str
    file: Path
    packets: int
    dropped: int
    unknown: bool = False


class Capture:
    """tcpdump on every interface of a node. `incoming` keeps only what comes in: on a node that forwards, all once.

    `buffered`, for many calls: packets come some kilobytes at once, which costs the engine a fraction, and a `barrier`
    brings all that were seen before it, and the count of those that were lost. `expression`: a filter in tcpdump's
    words, which `check` has found good.
    `heard` is told what comes, in a thread of its own.
    """

    def __init__(
        self,
        client: DockerClient,
        container: str,
        node: str,
        file: Path,
        *,
        incoming: bool = False,
        buffered: bool = False,
        ring: int = RING,
        expression: str = "",
        heard: Heard = lambda data: None,
    ) -> None:
        self.node = node
        self.file = file
        self._buffered = buffered
        self._output = file.open("wb")
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._size = 0
        self._complaint = ""
        self._ended = False
        self._closing = threading.Event()
        self._stopped = self._restarted = self._open = False
        self._life = 0
        self._losses: list[tuple[float, int]] = []
        self._lost_before = 0
        self._awaited = b""
        self._tail = b""
        self._client, self._container = client, container
        way = ("-Q", "in") if incoming else ()
        wanted = ("--", _with_markers(expression)) if expression else ()
        self._argv = [*_ARGV, "-B", str(ring), *(() if buffered else ("-U",)), *way, "-w", "-", *wanted]
        self._heard = heard
        try:
            self._stream = self._start()
        except BaseException:
            self._output.close()
            raise
        self._thread = threading.Thread(target=self._read, name=f"capture {node}", daemon=True)
        self._thread.start()

    def _start(self) -> ExecStream:
        self._begun = time.time()
        self._life += 1
        self._lost_before = self._losses[-1][1] if self._losses else 0
        self._open = False
        script = _BUFFERED_SCRIPT if self._buffered else _SCRIPT
        return ExecStream(self._client, self._container, ["bash", "-c", script, "capture", *self._argv], stdin=True)

    @property
    def size(self) -> int:
        """Bytes of the file so far: what is seen from now on lies beyond them."""
        return self._size

    @property
    def lives(self) -> int:
        """How often it has begun: once, and once more each time that its node was restarted."""
        return self._life

    @property
    def stopped(self) -> bool:
        """Whether its node has stopped: it begins again when that runs."""
        return self._stopped

    @property
    def trouble(self) -> str | None:
        """Why it has ended before anybody ended it; None while it goes on."""
        if not self._ended or self._closing.is_set():
            return None
        return f"the capture at {self.node} ended early: {self._complaint.strip()}"

    def lost(self, start: float, end: float) -> int:
        """How many packets the kernel may have dropped from `start` to `end`, epoch seconds: those between the last
        count before and the first one after. Of a capture that is not buffered nothing is counted before it ends."""
        with self._changed:
            before = [lost for at, lost in self._losses if at <= start]
            after = next((lost for at, lost in self._losses if at >= end), None)
            known = self._losses[-1][1] if self._losses else 0
        return (known if after is None else after) - (before[-1] if before else 0)

    def barrier(self, seconds: float = 10.0) -> None:
        """Return when a marker sent now has been captured and written; raises EvidenceError when none comes.

        A node that was stopped has nothing more to see: what it saw before has been written. Threads take turns.
        """
        with self._turn:
            self._barrier(seconds)

    def _barrier(self, seconds: float) -> None:
        marker = f"lab-marker-{uuid.uuid4().hex}".encode()
        deadline = time.monotonic() + seconds
        while True:
            with self._changed:
                self._await(lambda: self._stopped or self._open, deadline, "start")
                life, self._awaited, self._tail, counts = self._life, marker, b"", len(self._losses)
            with contextlib.suppress(OSError):  # the node has stopped, or the capture failed: which one is known soon
                self._stream.write(marker + b"\n")
            with self._changed:
                self._await(
                    lambda life=life: self._stopped or not self._awaited or self._life != life,  # type: ignore[misc]
                    deadline,
                    "see its marker packet",
                )
                if self._stopped or not self._awaited:
                    try:
                        self._output.flush()
                    except OSError as error:
                        self._cannot_be_written(error)
                    else:
                        if self._buffered and not self._stopped:
                            self._await_count(counts)
                        return

    def _await_count(self, so_far: int) -> None:
        """Wait for one more count than there were; without one the next says it all."""
        self._changed.wait_for(lambda: len(self._losses) > so_far or self._ended, COUNT_SECONDS)

    def close(self) -> Captured:
        """End the capture, wait for its last words, and return what it says of itself."""
        self._closing.set()
        self._stream.close_stdin()
        self._thread.join(timeout=5)
        self._stream.close()
        self._thread.join(timeout=5)
        with contextlib.suppress(OSError):  # a disk that is full has been told of
            self._output.close()
        said, runs = Counter[str](), Counter[str]()  # of each run, where the node was restarted
        for number, word in _WORDS.findall(self._complaint):
            said[word] += int(number)
            runs[word] += 1
        silent = runs["captured"] < self._life  # one that was killed says nothing
        packets = _count(self.file) if silent else said["captured"]
        unknown = silent and (self._stopped or self._life > 1)
        return Captured(self.node, self.file, packets, said["dropped by kernel"], unknown)

    def _await(self, holds: Callable[[], bool], deadline: float, what: str) -> None:
        while not holds():
            if self._ended:
                raise EvidenceError(f"the capture at {self.node} ended early: {self._complaint.strip()}")
            if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                raise EvidenceError(f"the capture at {self.node} did not {what} in time: {self._complaint.strip()}")

    def _read(self) -> None:
        try:
            self._take()
            while not self._closing.is_set() and self._again():
                self._mend()
                self._heard(None)
                self._take()
        except OSError as error:
            self._cannot_be_written(error)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _cannot_be_written(self, error: OSError) -> None:
        self._complaint, self._ended = f"{self.file} cannot be written: {error.strerror or error}", True

    def _take(self) -> None:
        """One run of tcpdump. What follows a first run has a file header of its own, which is left out."""
        surplus = PCAP_HEADER if self._size >= PCAP_HEADER else 0
        for kind, data in self._stream.chunks():
            with self._changed:
                if kind != STDOUT:
                    self._hear_words(data.decode(errors="replace"))
                    if self._buffered and b"listening on" in data:  # it holds back what it writes, not what it says
                        self._open = True
                        self._changed.notify_all()
                    continue
                data, surplus = data[surplus:], max(0, surplus - len(data))
                if not self._output.closed:
                    self._output.write(data)
                self._heard(data)
                self._size += len(data)
                self._open = self._open or (surplus == 0 and self._size >= PCAP_HEADER)
                if self._awaited:
                    seen = self._tail + data
                    if self._awaited in seen:
                        self._awaited = b""
                    self._tail = seen[-len(self._awaited) :]
                self._changed.notify_all()

    def _hear_words(self, text: str) -> None:
        said = self._complaint + text
        for found in _MEANWHILE.finditer(said):
            self._losses.append((time.time(), self._lost_before + int(found[1])))
            self._changed.notify_all()
        self._complaint = _MEANWHILE.sub("", said)[-4000:]

    def _mend(self) -> None:
        """Take a packet back that the end of a node has torn: what follows it would not be found."""
        with self._changed:
            self._output.flush()
            with self.file.open("rb") as source:
                self._size = _whole(source.read())
            self._output.seek(self._size)
            self._output.truncate()

    def _again(self) -> bool:
        """The node was stopped, or restarted: goes on as soon as it runs again; False where the capture itself failed,
        or is not wanted any more."""
        runs_since: float | None = None
        while not self._closing.wait(REOPEN_SECONDS):
            try:
                state: dict[str, Any] = self._client.api.inspect_container(self._container)["State"]
                with self._changed:
                    self._stopped = not state["Running"]
                    self._changed.notify_all()
                if self._stopped:
                    self._restarted = True
                elif not self._restarted and _epoch(state["StartedAt"]) < self._begun:
                    runs_since = runs_since or time.monotonic()
                    if time.monotonic() - runs_since >= SURE_SECONDS:
                        return False  # the node has run all the time: it is the capture that failed
                else:
                    self._stream = self._start()
                    self._restarted = False
                    return True
            except NotFound:
                self._complaint = "its node has been removed"
                return False
            except (DockerException, OSError, RuntimeUnavailable):
                continue  # between two of its lives
        return False


def check(client: DockerClient, container: str, expression: str) -> str | None:
    """What tcpdump has against a filter; None where it takes it, as it stands: what is no filter by itself might be one
    between parentheses."""
    said = run(client, container, ["tcpdump", *_ARGV[:4], "-d", "--", expression])
    if said.status == 0:
        return None
    lines = said.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {said.status}"]
    return lines[-1].removeprefix("tcpdump: ")


def _with_markers(expression: str) -> str:
    return f"({expression}) or {_MARKED}"


def _count(file: Path) -> int:
    """How many whole packets a pcap file holds; what cannot be read holds none."""
    with contextlib.suppress(OSError):
        if file.is_file():  # and no device, which may have no end
            return sum(1 for _ in _ends(file.read_bytes()))
    return 0


def _whole(data: bytes) -> int:
    """Bytes of a pcap file up to the end of its last whole packet."""
    if len(data) < PCAP_HEADER:
        return 0
    return max(_ends(data), default=PCAP_HEADER)


def _ends(data: bytes) -> Iterator[int]:
    """Where each whole packet of a pcap file ends, in this machine's order or the other."""
    size = struct.Struct("<8xI4x" if data[:1] in (b"\xd4", b"\x4d") else ">8xI4x")
    at = PCAP_HEADER
    while at + size.size <= len(data):
        end = at + size.size + size.unpack_from(data, at)[0]
        if end > len(data):
            break
        yield end
        at = end


def _epoch(text: str) -> float:
    """Seconds of the engine's way to write a time: 2026-11-24T15:53:36.123456789Z."""
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()
