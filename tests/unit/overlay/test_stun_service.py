"""Supernodes answer standard Binding requests, over UDP and TCP, to anybody."""

from lab.overlay.actions import Close, LinkInfo, SendTo, Write
from lab.overlay.supernode import STUN_SOCKET
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.fakenet import FakeNet

SOURCE = ("198.51.100.99", 4321)
REQUEST = StunMessage(Method.BINDING, Kind.REQUEST, bytes(range(12)))


def test_udp_binding(net: FakeNet) -> None:
    machine = net.hosts["supernode-1"].machine
    machine.datagram(STUN_SOCKET, REQUEST.encode(), SOURCE, net.now)
    (sent,) = [action for action in machine.actions.take() if isinstance(action, SendTo)]
    answer = StunMessage.parse(sent.data)
    assert (answer.kind, answer.transaction_id, answer.xor_mapped) == (Kind.SUCCESS, bytes(range(12)), SOURCE)
    assert sent.address == SOURCE


def test_unknown_required_attributes_are_named(net: FakeNet) -> None:
    machine = net.hosts["supernode-1"].machine
    data = bytearray(REQUEST.encode(fingerprint=False))
    data += bytes([0x00, 0x77, 0, 0])
    data[3] = 4
    machine.datagram(STUN_SOCKET, bytes(data), SOURCE, net.now)
    (sent,) = [action for action in machine.actions.take() if isinstance(action, SendTo)]
    answer = StunMessage.parse(sent.data)
    assert (answer.kind, answer.error and answer.error[0], answer.unknown) == (Kind.ERROR, 420, (0x77,))


def test_garbage_and_answers_are_met_with_silence(net: FakeNet) -> None:
    machine = net.hosts["supernode-1"].machine
    success = StunMessage(Method.BINDING, Kind.SUCCESS, bytes(12)).encode()
    for data in (b"", b"\x00", success, b"\x00\x01\x00\x00" + bytes(16), REQUEST.encode()[:-1]):
        machine.datagram(STUN_SOCKET, data, SOURCE, net.now)
    assert not machine.actions.take()


def test_tcp_binding_in_pieces_and_garbage_closes(net: FakeNet) -> None:
    machine = net.hosts["supernode-1"].machine
    link = machine.accepted("stun", LinkInfo(("203.0.113.11", 3478), SOURCE), net.now)
    data = REQUEST.encode()
    machine.link_data(link, data[:7], net.now)
    assert not machine.actions.take()
    machine.link_data(link, data[7:] + data, net.now)
    answers = [action for action in machine.actions.take() if isinstance(action, Write)]
    assert [StunMessage.parse(action.data).xor_mapped for action in answers] == [SOURCE, SOURCE]
    machine.link_data(link, b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", net.now)
    assert any(isinstance(action, Close) for action in machine.actions.take())
