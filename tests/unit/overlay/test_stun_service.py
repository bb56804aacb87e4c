"""Supernodes answer standard Binding requests, over UDP and TCP, to anybody."""

from dataclasses import replace

import pytest

from lab.overlay.actions import Close, LinkInfo, SendTo, Write
from lab.overlay.supernode import STUN_SOCKET
from lab.wire.addresses import Address
from lab.wire.messages import Reflect
from lab.wire.stun import Change, Kind, Method, StunMessage
from tests.unit.overlay.fakenet import FakeNet, Host

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


def ask(net: FakeNet, request: StunMessage) -> list[tuple[str, SendTo]]:
    """Every datagram to SOURCE that a request to the first supernode brings about, with its sender and its port."""
    sent: list[tuple[str, SendTo]] = []
    usual = net._datagram

    def watched(host: Host, source: Address, destination: Address, data: bytes) -> None:
        if destination[0] == SOURCE[0]:
            sent.append((host.name, SendTo(source[1], destination, data)))
        else:
            usual(host, source, destination, data)

    net._datagram = watched  # type: ignore[method-assign]
    host = net.hosts["supernode-1"]
    host.machine.datagram(STUN_SOCKET, request.encode(), SOURCE, net.now)
    net.settle(host)
    net.run(0.5)
    net._datagram = usual  # type: ignore[method-assign]
    return sent


PADDED = replace(REQUEST, padding=bytes(36))


@pytest.mark.parametrize(
    ("change", "who", "port"),
    [
        (Change(0), "supernode-1", 3478),
        (Change.PORT, "supernode-1", 3479),
        (Change.IP, "supernode-2", 3478),
        (Change.IP | Change.PORT, "supernode-2", 3479),
    ],
)
def test_answers_come_from_where_they_are_wanted(net: FakeNet, change: Change, who: str, port: int) -> None:
    request = replace(PADDED, change_request=change or None)
    ((name, sent),) = ask(net, request)
    answer = StunMessage.parse(sent.data)
    assert (name, sent.socket, sent.address, answer.xor_mapped) == (who, port, SOURCE, SOURCE)
    assert answer.response_origin == (f"203.0.113.1{who[-1]}", port)


def test_a_plain_answer_names_the_other_supernode(net: FakeNet) -> None:
    ((_, sent),) = ask(net, REQUEST)
    assert StunMessage.parse(sent.data).other_address == ("203.0.113.12", 3479)


def test_another_port_of_the_asking_host_is_answered(net: FakeNet) -> None:
    ((_, sent),) = ask(net, replace(PADDED, response_port=999))
    assert sent.address == (SOURCE[0], 999)


@pytest.mark.parametrize("change", [Change.PORT, Change.IP, Change.IP | Change.PORT])
def test_nobody_is_sent_more_than_was_asked_with(net: FakeNet, change: Change) -> None:
    request = replace(REQUEST, change_request=change)
    for length in range(0, 64, 4):
        padded = replace(request, padding=bytes(length) or None)
        assert all(len(sent.data) <= len(padded.encode()) for _, sent in ask(net, padded))
        net.run(2)  # until it may ask again
    assert ask(net, replace(request, padding=bytes(64)))


def test_a_supernode_answers_for_another_only_to_the_host_that_asked(net: FakeNet) -> None:
    machine = net.hosts["supernode-2"].machine
    machine.reflector.reflect(Reflect(("198.51.100.7", 53), SOURCE, bytes(12), False, 200), net.now)
    assert machine.actions.take() == []


def test_answers_from_elsewhere_are_rationed(net: FakeNet) -> None:
    machine = net.hosts["supernode-1"].machine
    for _ in range(500):
        machine.datagram(STUN_SOCKET, replace(PADDED, change_request=Change.PORT).encode(), SOURCE, net.now)
    assert len([action for action in machine.actions.take() if isinstance(action, SendTo)]) == 40


def test_without_a_fellow_no_other_address_answers(net: FakeNet) -> None:
    net.kill("supernode-2")
    assert net.run(10, until=lambda: not net.hosts["supernode-1"].machine.peers)
    ((_, sent),) = ask(net, replace(PADDED, change_request=Change.IP))
    answer = StunMessage.parse(sent.data)
    assert (answer.error and answer.error[0], answer.unknown) == (420, (3,))
