"""What a crowd says of itself: where each client sits, who was promoted, what they have logged."""

import json
import time
from collections import Counter

from lab.harness import Lab
from lab.harness.status import NodeStatus

ROOM = 4
"""Clients that each supernode of compose/crowd.yml has room for."""
SPARE_S = 60.0
"""Seconds within which a crowd that has no place free has one more supernode: those that cannot be one are asked as
well, some of them first."""


def clients(lab: Lab) -> dict[str, NodeStatus]:
    return {node.name: node for node in lab.status().nodes if node.role == "client"}


def homes(lab: Lab) -> dict[str, str | None]:
    return {name: node.supernode for name, node in clients(lab).items()}


def said(lab: Lab, node: str, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, lab.logs(node)) if line["event"] == event]


def serving(lab: Lab) -> str:
    """The promoted client at which most others sit."""
    at = homes(lab)
    promoted = [name for name, node in clients(lab).items() if node.promoted == "supernode"]
    served = Counter(hub for name, hub in at.items() if hub in promoted and name != hub)
    assert served, at
    return str(max(served, key=lambda hub: served[hub]))


def dispensable(lab: Lab) -> str:
    """The promoted client at which most others sit, once the others have room for everybody who sits at it."""
    deadline = time.monotonic() + SPARE_S
    while True:
        nodes = clients(lab)
        promoted = [name for name, node in nodes.items() if node.promoted == "supernode"]
        hub = serving(lab)
        running = sum(node.state != "stopped" for node in nodes.values())
        if ROOM * len(promoted) >= running and None not in homes(lab).values():
            return hub
        assert time.monotonic() < deadline, f"{promoted} alone are supernodes, for {running} clients: {lab.status()}"
        time.sleep(0.2)
