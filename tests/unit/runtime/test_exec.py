"""A process in a container as the engine shows it: streams apart, nothing lost, stdin closed one way."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import docker
import pytest
from fake_engine import FakeEngine, Process, frame

from lab.errors import EvidenceError, LabError, RuntimeUnavailable
from lab.runtime.capture import Capture, check
from lab.runtime.control import ControlChannel, Refused
from lab.runtime.exec import STDERR, STDOUT, ExecStream, Finished, run

Start = Callable[[bytes, Process], FakeEngine]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    engines: list[FakeEngine] = []

    def made(first: bytes, process: Process) -> FakeEngine:
        engines.append(FakeEngine(tmp_path, first, process))
        return engines[-1]

    yield made
    for engine in engines:
        engine.close()


def nothing(connection: socket.socket) -> None:
    pass


def test_output_that_comes_with_the_headers_is_not_lost(start: Start) -> None:
    engine = start(frame(STDOUT, b"at once"), nothing)
    done = run(engine.client(), "c", ["true"])
    assert (done.status, done.stdout) == (3, b"at once")


def test_streams_are_told_apart_across_split_frames(start: Start) -> None:
    bytes_sent = frame(STDOUT, b"out") + frame(STDERR, b"err") + frame(STDOUT, b"more")

    def dribble(connection: socket.socket) -> None:
        for byte in bytes_sent:
            connection.sendall(bytes([byte]))

    done = run(start(b"", dribble).client(), "c", ["true"])
    assert (done.stdout, done.stderr) == (b"outmore", b"err")


def test_closing_stdin_leaves_output_open(start: Start) -> None:
    def upper(connection: socket.socket) -> None:
        said = b""
        while data := connection.recv(100):
            said += data
        connection.sendall(frame(STDOUT, said.upper()))

    assert run(start(b"", upper).client(), "c", ["tr"], stdin=b"words").stdout == b"WORDS"


def test_closing_from_another_thread_ends_the_reader(start: Start) -> None:
    gone = threading.Event()

    def wait(connection: socket.socket) -> None:
        assert connection.recv(1) == b""
        gone.set()

    with ExecStream(start(b"", wait).client(), "c", ["cat"], stdin=True) as stream:
        reader = threading.Thread(target=lambda: list(stream.chunks()))
        reader.start()
        stream.close()
        reader.join(5)
    assert not reader.is_alive()
    assert gone.wait(5), "the engine must see the end of stdin"


def test_an_engine_that_is_gone_is_one_sentence(start: Start) -> None:
    engine = start(b"", nothing)
    client = engine.client()
    client.api.base_url = "http+docker://localhost"
    engine.close()
    with pytest.raises(RuntimeUnavailable, match="lab doctor"):
        run(client, "c", ["true"])


# -- the control socket ----------------------------------------------------------------------------------------------


def node(answers: Callable[[dict[str, object]], list[dict[str, object]]]) -> Process:
    """A node that answers each order with some lines."""

    def process(connection: socket.socket) -> None:
        with connection.makefile("rb") as orders:
            for line in orders:
                for said in answers(json.loads(line)):
                    connection.sendall(frame(STDOUT, json.dumps(said).encode() + b"\n"))

    return process


def test_an_answer_finds_its_order_among_events(start: Start) -> None:
    heard: list[object] = []
    engine = start(b"", node(lambda order: [{"event": "ringing"}, {"id": order["id"], "ok": True, "state": "ready"}]))
    with ControlChannel(engine.client(), "c", "bob", heard.append) as channel:
        assert channel.order("status")["state"] == "ready"
    assert heard == [{"event": "ringing"}, None]


def test_a_refusal_names_node_order_and_reason(start: Start) -> None:
    engine = start(b"", node(lambda order: [{"id": order["id"], "ok": False, "error": "it is busy"}]))
    with ControlChannel(engine.client(), "c", "bob") as channel, pytest.raises(LabError, match=r"bob .*'dial'.* busy"):
        channel.order("dial")


def test_a_refusal_is_told_from_what_could_not_be_done(start: Start) -> None:
    answer = {"ok": False, "error": "a queue without a rate"}
    engine = start(b"", node(lambda order: [{"id": order["id"], **answer, "refused": order["order"] == "link"}]))
    with ControlChannel(engine.client(), "c", "core") as channel:
        with pytest.raises(Refused) as refused:
            channel.order("link")
        assert refused.value.reason == "a queue without a rate"
        with pytest.raises(LabError) as failed:
            channel.order("restore")
        assert not isinstance(failed.value, Refused)


def test_silence_is_not_waited_for_longer_than_asked(start: Start) -> None:
    engine = start(b"", node(lambda order: []))
    with ControlChannel(engine.client(), "c", "bob") as channel, pytest.raises(RuntimeUnavailable, match=r"0\.05 s"):
        channel.order("status", within=0.05)


def test_a_node_without_a_socket_says_so_in_one_sentence(start: Start) -> None:
    engine = start(frame(STDERR, b"socat: No such file\n"), nothing)
    with (
        ControlChannel(engine.client(), "c", "bob") as channel,
        pytest.raises(RuntimeUnavailable, match="bob is still starting"),
    ):
        channel.order("status")


# -- captures --------------------------------------------------------------------------------------------------------

PACKET = struct.pack("<IIII", 1, 0, 4, 4) + b"data"
HEADER = b"\xd4\xc3\xb2\xa1" + bytes(20)


def tcpdump(echo: bool, last: bytes = b"3 packets captured\n7 packets dropped by kernel\n") -> Process:
    def process(connection: socket.socket) -> None:
        with connection.makefile("rb") as markers:
            for marker in markers:
                if echo:
                    half = len(marker) // 2
                    connection.sendall(frame(STDOUT, b"<packet " + marker[:half]))
                    connection.sendall(frame(STDOUT, marker[half:] + b">"))
        connection.sendall(frame(STDERR, last))

    return process


def test_a_barrier_waits_for_its_marker_in_the_capture(start: Start, tmp_path: Path) -> None:
    engine = start(frame(STDOUT, HEADER), tcpdump(echo=True))
    capture = Capture(engine.client(), "c", "core", tmp_path / "core.pcap", incoming=True)
    capture.barrier()
    capture.barrier()
    done = capture.close()
    assert (done.packets, done.dropped) == (3, 7)
    assert done.file.read_bytes().startswith(HEADER)
    assert done.file.read_bytes().count(b"lab-marker-") == 2
    assert "-Q" in str(engine.asked[0]["Cmd"])


def test_a_capture_of_many_calls_counts_at_each_barrier_what_the_kernel_dropped(start: Start, tmp_path: Path) -> None:
    counts = iter((0, 5, 5, 12))

    def process(connection: socket.socket) -> None:
        connection.sendall(frame(STDERR, b"tcpdump: listening on any\n"))
        with connection.makefile("rb") as markers:
            for marker in markers:
                connection.sendall(frame(STDOUT, b"<packet " + marker + b">"))
                words = f"tcpdump: 9 packets captured, 9 packets received by filter, {next(counts)} packets dropped"
                for part in (words, " by ker", "nel\n"):
                    connection.sendall(frame(STDERR, part.encode()))
        connection.sendall(frame(STDERR, b"30 packets captured\n12 packets dropped by kernel\n"))

    engine = start(frame(STDOUT, HEADER), process)
    capture = Capture(engine.client(), "c", "core", tmp_path / "core.pcap", buffered=True)
    begun, spans, at = time.time(), [], []
    for _ in range(4):
        at.append(time.time())
        capture.barrier()
        spans.append(capture.lost(at[-1], time.time()))
    assert spans == [0, 5, 0, 7] and capture.lost(at[2], time.time()) == 7 and capture.lost(begun, time.time()) == 12
    assert capture.lost(begun, at[1]) == 5, "nobody knows when between two counts"
    done = capture.close()
    assert (done.packets, done.dropped) == (30, 12), "a count meanwhile is not counted again"
    assert 'kill -USR1 "$p"' in str(engine.asked[0]["Cmd"])


def test_a_capture_that_does_not_see_its_marker_is_an_error(start: Start, tmp_path: Path) -> None:
    capture = Capture(start(frame(STDOUT, HEADER), tcpdump(echo=False)).client(), "c", "core", tmp_path / "core.pcap")
    with pytest.raises(EvidenceError, match="core did not see its marker"):
        capture.barrier(seconds=0.05)
    capture.close()


def test_a_capture_that_ends_early_says_its_last_words(start: Start, tmp_path: Path) -> None:
    engine = start(frame(STDERR, b"tcpdump: no permission\n"), nothing)
    capture = Capture(engine.client(), "c", "core", tmp_path / "core.pcap")
    with pytest.raises(EvidenceError, match="no permission"):
        capture.barrier()
    capture.close()


def test_a_capture_goes_on_in_the_same_file_when_its_node_was_restarted(start: Start, tmp_path: Path) -> None:
    lives: list[socket.socket] = []
    second = threading.Event()

    def live(connection: socket.socket) -> None:
        lives.append(connection)
        if len(lives) == 2:
            second.set()
            tcpdump(echo=True)(connection)
        else:
            connection.sendall(frame(STDOUT, PACKET + PACKET[:-3]))  # and ends in the middle of a packet
            engine.state = {"Running": False, "StartedAt": "2003-08-29T00:00:00.000000000Z"}

    engine = start(frame(STDOUT, HEADER), live)
    heard: list[bytes | None] = []
    capture = Capture(engine.client(), "c", "home-router", tmp_path / "home-router.pcap", heard=heard.append)
    capture.barrier()  # nothing more is to be seen at a node that is stopped
    engine.state = {"Running": True, "StartedAt": "2003-08-29T00:00:01.000000000Z"}
    assert second.wait(5)
    capture.barrier()
    seen = capture.close().file.read_bytes()
    assert seen.startswith(HEADER + PACKET + b"<packet lab-marker-")
    assert seen.count(HEADER) == 1
    again = heard.index(None)
    assert b"".join(part for part in heard[:again] if part) == HEADER + PACKET + PACKET[:-3]
    assert b"".join(part for part in heard[again:] if part).startswith(b"<packet")
    assert (capture.lives, capture.trouble) == (2, None)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_run_that_was_killed_has_its_packets_counted_and_what_it_dropped_is_not_known(
    start: Start, tmp_path: Path, goes_on: bool
) -> None:
    lives: list[socket.socket] = []
    second = threading.Event()

    def live(connection: socket.socket) -> None:
        lives.append(connection)
        if len(lives) == 2:
            connection.sendall(frame(STDOUT, PACKET * 3))
            tcpdump(echo=False)(connection)
        else:
            connection.sendall(frame(STDOUT, PACKET * 2 + PACKET[:-3]))
            engine.state = {"Running": False, "StartedAt": "2003-08-29T00:00:00.000000000Z"}

    def heard(data: bytes | None) -> None:
        if data and data.endswith(PACKET):
            second.set()

    engine = start(frame(STDOUT, HEADER), live)
    capture = Capture(engine.client(), "c", "home-router", tmp_path / "home-router.pcap", heard=heard)
    capture.barrier()  # its node is stopped
    if goes_on:
        engine.state = {"Running": True, "StartedAt": "2003-08-29T00:00:01.000000000Z"}
        assert second.wait(5)
    done = capture.close()
    assert (done.packets, done.dropped, done.unknown) == ((5, 7, True) if goes_on else (2, 0, True))


def test_a_capture_goes_on_where_the_engine_is_late_to_say_that_its_node_has_stopped(
    start: Start, tmp_path: Path
) -> None:
    lives: list[socket.socket] = []
    second = threading.Event()

    def live(connection: socket.socket) -> None:
        lives.append(connection)
        if len(lives) == 2:
            second.set()
            tcpdump(echo=True)(connection)
        else:
            runs = engine.state
            engine.before = [runs, runs, runs, {**runs, "Running": False}]
            engine.state = {"Running": True, "StartedAt": "2003-08-29T00:00:01.000000000Z"}

    engine = start(frame(STDOUT, HEADER), live)
    capture = Capture(engine.client(), "c", "home-router", tmp_path / "home-router.pcap")
    assert second.wait(5), capture.trouble
    capture.barrier()
    assert b"<packet lab-marker-" in capture.close().file.read_bytes()
    assert (capture.lives, capture.trouble) == (2, None)


def test_a_capture_whose_disk_is_full_says_so_and_ends(start: Start) -> None:
    engine = start(frame(STDOUT, HEADER), tcpdump(echo=True))
    capture = Capture(engine.client(), "c", "core", Path("/dev/full"), expression="udp port 33034")
    with pytest.raises(EvidenceError, match="/dev/full cannot be written: No space left"):
        capture.barrier()
    assert capture.trouble == "the capture at core ended early: /dev/full cannot be written: No space left on device"
    capture.close()
    command = engine.asked[0]["Cmd"]
    assert isinstance(command, list)
    assert command[-2:] == ["--", "(udp port 33034) or (udp dst port 9 and dst host 127.0.0.1)"]


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (0, b"(000) ret #0\n", None),
        (1, b"tcpdump: can't parse filter expression: syntax error\n", "can't parse filter expression: syntax error"),
        (127, b"", "exit status 127"),
    ],
)
def test_a_filter_is_tried_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, status: int, said: bytes, expected: str | None
) -> None:
    asked: list[Sequence[str]] = []

    def run(client: object, container: str, argv: Sequence[str]) -> Finished:
        asked.append(argv)
        return Finished(status, b"", said)

    monkeypatch.setattr("lab.runtime.capture.run", run)
    assert check(docker.DockerClient("unix://none", version="1.41"), "c", "udp port") == expected
    assert asked == [["tcpdump", "-i", "any", "-y", "LINUX_SLL2", "-d", "--", "udp port"]]
