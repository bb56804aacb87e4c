"""The relay's rules in a real kernel: voice from leg to leg, and nothing for anybody else."""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from two_networks import PORT, World, waiting

from lab.node.kernel import Kernel
from lab.wire.stun import Kind, Method, StunMessage

RATE = 50_000
BIND = StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=b"x" * 40).encode()
VOICE = b"\x80" + bytes(119)


class Call:
    """Two ends and the relay's own socket, of one family; `joined` once the kernel forwards between them."""

    def __init__(self, world: World, kernel: Kernel, family: int) -> None:
        hosts = [f"10.9.{n}.{{}}" if family == 4 else f"fd09:1:1:{n}:1:1:1:{{}}" for n in (0, 1)]
        self.world, self.kernel = world, kernel
        self.header = 28 if family == 4 else 48
        self.near = world.udp("near", hosts[0].format(2), 0)
        self.far = world.udp("far", hosts[1].format(2), 0)
        self.relay = world.udp("relay", "0.0.0.0" if family == 4 else "::", PORT)
        self.from_near, self.from_far = (host.format(1) for host in hosts)  # the relay, as each end knows it
        self.join(1)

    def join(self, session: int) -> None:
        near, far = (sock.getsockname()[:2] for sock in (self.near, self.far))
        self.kernel.offload(session, (near, far), RATE)

    def up(self, data: bytes) -> None:
        self.near.sendto(data, (self.from_near, PORT))

    def down(self, data: bytes) -> None:
        self.far.sendto(data, (self.from_far, PORT))

    def close(self) -> None:
        for sock in (self.near, self.far, self.relay):
            sock.close()


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def call(world: World, kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[Call]:
    made = Call(world, kernel, request.param)
    yield made
    made.close()


def test_voice_goes_both_ways_and_comes_from_the_relay(call: Call) -> None:
    call.up(VOICE + b"up")
    data, source = call.far.recvfrom(2000)
    assert (data, source[:2]) == (VOICE + b"up", (call.from_far, PORT))
    call.down(b"\x80")
    data, source = call.near.recvfrom(2000)
    assert (data, source[:2]) == (b"\x80", (call.from_near, PORT))
    assert not waiting(call.relay)


def test_binds_reach_the_relay(call: Call) -> None:
    for kind in Kind:
        call.up(StunMessage(Method.BIND, kind, bytes(12), token=b"x" * 40).encode())
        assert call.relay.recv(2000)[4:8] == BIND[4:8]
    assert not waiting(call.far)


def test_checks_of_the_two_ends_are_passed_on(call: Call) -> None:
    check = StunMessage(Method.BINDING, Kind.REQUEST, bytes(12), username="a:b").encode()
    call.up(check)
    assert call.far.recv(2000) == check


def test_strangers_reach_the_relays_socket_and_no_leg(call: Call) -> None:
    with call.world.udp("near", call.near.getsockname()[0], 0) as stranger:
        stranger.sendto(VOICE, (call.from_near, PORT))
        assert call.relay.recv(2000) == VOICE
    call.up(b"\x80behind")
    assert call.far.recv(2000) == b"\x80behind", "the first that comes is a leg's"


def test_one_call_sends_no_more_than_its_cap_both_ways_together(call: Call) -> None:
    packet = b"\x80" + bytes(999)
    for _ in range(100):
        call.up(packet)
        call.down(packet)
    call.relay.sendto(b"end", call.near.getsockname())  # a barrier behind all that the kernel did in these calls
    got = len(waiting(call.far)) + sum(data != b"end" for data in waiting(call.near))
    room = RATE // (len(packet) + call.header)
    assert room <= got <= room + 5, "the bucket fills at 50 packets a second"
    counts = call.kernel.counts(1)
    assert counts.had == (100, 100)
    assert sum(counts.passed) == got
    assert sum(counts.bytes) == got * (len(packet) + call.header)


def test_a_leg_that_moved_is_heard_from_its_new_address_alone_and_keeps_its_counts(call: Call) -> None:
    call.up(VOICE)
    call.far.recv(2000)
    old = call.near
    call.near = call.world.udp("near", old.getsockname()[0], 0)
    call.join(1)
    call.up(b"\x80new")
    assert call.far.recv(2000) == b"\x80new"
    old.sendto(b"\x80old", (call.from_near, PORT))
    assert call.relay.recv(2000) == b"\x80old"
    assert call.kernel.counts(1).had == (2, 0)
    old.close()


def test_a_session_that_came_back_is_the_relays_socket_again(call: Call) -> None:
    call.up(VOICE)
    call.far.recv(2000)
    final = call.kernel.onload(1)
    assert (final.had, final.passed) == ((1, 0), (1, 0))
    call.up(VOICE)
    assert call.relay.recv(2000) == VOICE
    call.join(1)
    call.up(VOICE)
    assert call.far.recv(2000) == VOICE
    assert call.kernel.counts(1).had == (1, 0)


def test_a_fragmented_datagram_reaches_the_relay_whole(call: Call) -> None:
    call.up(b"\x80" + bytes(2999))
    assert len(call.relay.recv(4096)) == 3000
    assert not waiting(call.far)


def test_captures_at_the_relay_see_both_legs(call: Call) -> None:
    with call.world.sniffer("near") as near, call.world.sniffer("far") as far:
        call.up(VOICE + b"mark")
        call.far.recv(2000)
        into = [packet for packet in waiting(near) if packet.endswith(b"mark")]
        out = [packet for packet in waiting(far) if packet.endswith(b"mark")]
    assert len(into) == len(out) == 1
    ports = slice(20, 24) if call.header == 28 else slice(40, 44)
    assert into[0][ports] == call.near.getsockname()[1].to_bytes(2, "big") + PORT.to_bytes(2, "big")
    assert out[0][ports] == PORT.to_bytes(2, "big") + call.far.getsockname()[1].to_bytes(2, "big")


def test_the_rules_go_with_the_process_that_made_them(world: World) -> None:
    """A deputy that dies leaves no forwarding behind that nobody caps or ends."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near, far = world.udp("near", "10.9.0.2", 0), world.udp("far", "10.9.1.2", 0)
    with ours, near, far, world.udp("relay", "0.0.0.0", PORT) as relay:
        with world.inside("relay"):
            deputy = subprocess.Popen(
                [sys.executable, "-m", "lab.node.deputy", str(its.fileno()), str(PORT)],
                pass_fds=[its.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        its.close()
        ours.settimeout(10)
        ours.send(json.dumps({"order": "begin"}).encode())
        assert json.loads(ours.recv(4096)) == {"ready": True}
        legs = [near.getsockname(), far.getsockname()]
        ours.send(json.dumps({"order": "offload", "session": 3, "legs": legs, "rate": RATE}).encode())
        ours.send(json.dumps({"order": "count", "session": 3}).encode())
        assert json.loads(ours.recv(4096))["had"] == [0, 0]
        ours.send(
            json.dumps({"order": "offload", "session": 4, "legs": [["10.9.0.1", 9], legs[1]], "rate": 1}).encode()
        )
        assert "no way to 10.9.0.1" in json.loads(ours.recv(4096))["refused"]
        near.sendto(VOICE, ("10.9.0.1", PORT))
        assert far.recv(2000) == VOICE
        ours.send(
            json.dumps({"order": "offload", "session": 5, "legs": [["10.9.0.2", 7], legs[1]], "rate": 1}).encode()
        )
        assert json.loads(ours.recv(4096))["session"] == 5, "an address that is another session's"
        ours.send(json.dumps({"order": "onload", "session": 5}).encode())
        assert "no session 5" in json.loads(ours.recv(4096))["refused"]
        near.sendto(VOICE, ("10.9.0.1", PORT))
        assert far.recv(2000) == VOICE, "the first is untouched by what others were refused"
        wrong = {"order": "offload", "session": 3, "legs": [["10.9.0.1", 9], legs[1]], "rate": RATE}
        ours.send(json.dumps(wrong).encode())
        assert json.loads(ours.recv(4096))["session"] == 3
        near.sendto(VOICE, ("10.9.0.1", PORT))
        assert relay.recv(2000) == VOICE, "refused its new place, a session is the relay's own again"
        ours.send(json.dumps({"order": "offload", "session": 3, "legs": legs, "rate": RATE}).encode())
        ours.send(json.dumps({"order": "count", "session": 3}).encode())
        assert json.loads(ours.recv(4096))["final"] is False
        deputy.kill()
        deputy.wait(10)
        near.sendto(VOICE, ("10.9.0.1", PORT))
        assert select.select([relay], [], [], 5)[0]
