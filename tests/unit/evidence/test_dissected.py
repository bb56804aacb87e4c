"""What clients speak, as tshark reads it from the one file of a call: the machines' own bytes, by dissectors that know
nothing of them."""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from lab_calls import setting
from packet_world import ACK, IN, PSH, START, World, frame, write_pcap

from lab.evidence.whole import write
from lab.media.source import VoiceSource
from lab.media.srtp import MediaKeys
from lab.media.timing import FRAME_SECONDS
from lab.media.voice import VoiceSession
from lab.overlay.call_events import Moved
from lab.wire.addresses import Address
from tests.unit.overlay.fakenet import FakeNet, Pipe, Router
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="there is no tshark: apt-get install --no-install-recommends tshark"
)
KEYS = MediaKeys(bytes(range(30)), bytes(range(100, 130)))
FRAMES = 60
BINDING, SUCCESS = "0x0001", "0x0101"
MEDIA = 7000


class Watched(FakeNet):
    """The network in memory, with what crosses its internet as frames at core; only plain connections of `media`."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self._sent: dict[tuple[Address, Address], int] = {}

    def _datagram_in(self, source: Address, destination: Address, data: bytes) -> None:
        self.world.see("core", START + self.now, frame("udp", source, destination, data))
        super()._datagram_in(source, destination, data)

    def _transmit(self, pipe: Pipe, again: bool = False) -> None:
        other = pipe.other
        if other is not None and MEDIA in (pipe.seen[1], other.seen[1]):
            for data in pipe.unsent:
                way = pipe.seen, other.seen
                seq = self._sent.get(way, 1000)
                self._sent[way] = seq + len(data)
                self.world.see("core", START + self.now, frame("tcp", *way, data, IN, seq, ACK | PSH))
        super()._transmit(pipe, again)


@pytest.fixture
def net() -> Watched:
    net = Watched()
    net.authority()
    net.supernode(1)
    net.client("alice", "198.51.100.18", Router("203.0.113.31", mapping=None))
    net.client("bob", "192.168.32.2", Router("203.0.113.32"))
    net.client("frank", "192.168.33.2", Router("203.0.113.33"))
    net.client("dave", "192.168.35.2", Router("203.0.113.35", udp=False))
    clients = ("alice", "bob", "frank", "dave")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in clients))
    return net


def talk(net: Watched, caller: str, callee: str, path: str) -> None:
    """A call whose caller says FRAMES frames."""
    id = place(net, caller, callee)
    assert net.run(5, until=lambda: bool(net.told(caller, Moved)))
    net.run(2)
    assert str(net.told(caller, Moved)[-1][1].path) == path
    voice, host = VoiceSession(KEYS, VoiceSource.recording("speech-a"), ssrc=0x1234_5678), net.hosts[caller]
    voice.start_sending(net.now, START + net.now)
    for _ in range(FRAMES):
        packet = voice.next_packet(net.now, START + net.now)
        assert packet is not None and host.machine.send(id, packet)
        net.settle(host)
        net.run(FRAME_SECONDS)
    net.run(1)


def read(net: Watched, folder: Path, *options: str, show: str, fields: tuple[str, ...]) -> list[list[str]]:
    """The fields of each packet of the call's one file that the display filter `show` lets through, as tshark tells."""
    core = write_pcap(folder / "core.pcap", net.world.frames["core"])
    target = folder / "call.pcapng"
    write(setting(), {"core": core}, target, {}, {})
    argv = ["tshark", "-n", "-r", str(target), *options, "-Y", show, "-T", "fields", "-E", "separator=|"]
    argv += [word for field in fields for word in ("-e", field)]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split("|") for line in shown.splitlines()]


def increasing(rows: list[list[str]]) -> None:
    """Sequence numbers count by one, timestamps by the 960 ticks of a frame of 20 ms at 48 kHz."""
    told = {pair for numbers, ticks in rows for pair in zip(numbers.split(","), ticks.split(","), strict=True)}
    flat = sorted((int(number), int(tick)) for number, tick in told)
    assert len(flat) == FRAMES
    for (before, tick), (after, later) in pairwise(flat):
        assert (after - before, later - tick) == (1, 960)


def test_checks_are_stun_with_a_good_fingerprint_and_their_answers_name_an_address(
    net: Watched, tmp_path: Path
) -> None:
    talk(net, "bob", "frank", "punched/udp")
    fields = ("stun.type", "stun.id", "stun.att.crc32.status", "stun.att.ipv4")
    rows = read(net, tmp_path, show="stun && ip.addr==203.0.113.32 && ip.addr==203.0.113.33", fields=fields)
    asked = {id for kind, id, *_ in rows if kind == BINDING}
    answered = {id: address for kind, id, _, address in rows if kind == SUCCESS}
    assert asked and answered and answered.keys() <= asked
    assert set(answered.values()) <= {"203.0.113.32", "203.0.113.33"}
    assert {status for _, _, status, _ in rows} == {"1"}, "every fingerprint is good"


@pytest.mark.slow
def test_voice_is_rtp_that_counts_and_keeps_its_clock(net: Watched, tmp_path: Path) -> None:
    talk(net, "bob", "frank", "punched/udp")
    options = ("--enable-heuristic", "rtp_udp")
    rows = read(net, tmp_path, *options, show="rtp.ssrc==0x12345678", fields=("rtp.seq", "rtp.timestamp"))
    increasing(rows)
    kinds = read(
        net, tmp_path, *options, show="rtp.ssrc==0x12345678", fields=("rtp.version", "rtp.p_type", "udp.length")
    )
    assert {tuple(one[:2]) for one in kinds} == {("2", "111")}


def test_on_tcp_each_frame_has_its_length_before_it(net: Watched, tmp_path: Path) -> None:
    talk(net, "dave", "alice", "direct/tcp")
    options = ("-d", f"tcp.port=={MEDIA},rtp", "--enable-heuristic", "rtp_udp")
    rows = read(net, tmp_path, *options, show="rtp.ssrc==0x12345678", fields=("rtp.seq", "rtp.timestamp"))
    increasing(rows)
