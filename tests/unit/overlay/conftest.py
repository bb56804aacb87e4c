"""The reference lab's six sites, in memory."""

import pytest

from tests.unit.overlay.fakenet import FakeNet, Router


@pytest.fixture
def net() -> FakeNet:
    """Authority, two supernodes, a relay, and the six clients, all signed in."""
    net = FakeNet()
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    hard = "address-and-port-dependent"
    net.client("alice", "198.51.100.18", Router("203.0.113.31", mapping=None))
    net.client("bob", "192.168.32.10", Router("203.0.113.32"))
    net.client("frank", "192.168.33.10", Router("203.0.113.33"))
    net.client("carol", "192.168.34.10", Router("203.0.113.34", mapping=hard, ports_drawn_from=range(1024, 65536)))
    net.client("dave", "192.168.35.10", Router("203.0.113.35", mapping=hard, udp=False))
    net.client("erin", "192.168.36.10", Router("203.0.113.36", mapping=hard, udp=False, tcp_ports={443}))
    clients = ("alice", "bob", "carol", "dave", "erin", "frank")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in clients))
    assert net.run(10, until=lambda: len(net.hosts["supernode-1"].machine.peers) == 1)
    net.run(2)
    return net
