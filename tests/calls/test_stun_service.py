"""Supernodes answer a STUN client that is not ours: scapy writes the request and reads the answer, behind a NAT."""

import pytest
from scapy.contrib.stun import STUN, STUNXorMappedAddress

from lab.harness import Lab
from lab.runtime.exec import ExecStream

PORT = 3478
TRANSACTION = int.from_bytes(b"third-party!", "big")


def ask(lab: Lab, node: str, supernode: str, transport: str) -> STUN:
    """The answer to scapy's Binding request, sent by socat from inside a node."""
    world = lab.running_world()
    address = world.topology.node(supernode).attachments[0].address.ip
    argv = ["socat", "-t", "3", "STDIO", f"{transport}:{address}:{PORT}"]
    request = bytes(STUN(stun_message_type=0x0001, transaction_id=TRANSACTION, attributes=[]))
    with ExecStream(lab.engine, world.running(node).id, argv, stdin=True) as stream:
        stream.write(request)
        answer = b""
        for _, data in stream.chunks():
            answer += data
            if len(answer) >= 20 and len(answer) >= 20 + int.from_bytes(answer[2:4], "big"):
                break
    return STUN(answer)


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("supernode", ["supernode-1", "supernode-2"])
def test_a_third_partys_binding_request_is_answered(lab: Lab, supernode: str, transport: str) -> None:
    answer = ask(lab, "bob", supernode, transport)
    assert (answer.stun_message_type, answer.transaction_id) == (0x0101, TRANSACTION)
    mapped = [found for found in answer.attributes if isinstance(found, STUNXorMappedAddress)]
    outer = {str(attachment.address.ip) for attachment in lab.running_world().topology.node("home-router").attachments}
    assert mapped and str(mapped[0].xip) in outer
