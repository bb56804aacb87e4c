"""The world of namespaces, where the machine can make one.

Belongs here: fixtures, and the reason why they cannot be had. Never: expectations.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from world import FIRST, PORTS, SECOND, Endpoint, World

TOOLS = ("ip", "nft", "iptables-restore", "ip6tables-restore")


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    if os.geteuid():
        pytest.skip("network namespaces take root; run the tests of rules as root")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}; install iproute2, nftables and iptables")
    refusal = World.refusal()
    if refusal:
        pytest.skip(f"this machine makes no network namespaces: {refusal}")
    made = World()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def reflectors(world: World) -> Iterator[dict[Endpoint, object]]:
    """The server's UDP sockets by their endpoints."""
    sockets = {Endpoint(a, p): world.udp("server", a, p) for a in (FIRST, SECOND) for p in PORTS}
    yield sockets
    for sock in sockets.values():
        sock.close()


@pytest.fixture
def listeners(world: World) -> Iterator[dict[Endpoint, object]]:
    """The server's TCP listeners by their endpoints."""
    sockets = {Endpoint(a, p): world.tcp("server", a, p, listening=True) for a in (FIRST, SECOND) for p in PORTS}
    yield sockets
    for sock in sockets.values():
        sock.close()
