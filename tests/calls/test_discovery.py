"""What each client of the reference lab finds out about its network is what its router was told to be."""

import time

import pytest

from lab.harness import Lab
from lab.nat import firewall, profile
from lab.runtime.logs import Logs, started_at

CLIENTS = ("alice", "bob", "carol", "dave", "erin", "frank")
SECONDS = 15.0
"""From sign-in to what was found; two are usual, the rest is for a busy machine."""


def found(lab: Lab, client: str) -> None:
    """Waits for the client's word that it has found out what it could."""
    with Logs(lab.engine, [lab.running_world().running(client)], lambda it: started_at(lab.engine, it)) as logs:
        deadline = time.monotonic() + SECONDS
        while (said := logs.next(deadline)) is not None:
            if said.line and said.line.get("event") == "network-found":
                return
    pytest.fail(f"{client} did not say within {SECONDS:g} s what it has found out")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_finds_out_what_its_router_was_told_to_be(lab: Lab, client: str) -> None:
    found(lab, client)
    status = next(node for node in lab.status().nodes if node.name == client)
    assert status.profile and status.firewall and status.network
    shown = {axis: status.network[axis] for axis in ("mapping", "filtering", "allocation")}
    claimed, policy = profile(status.profile).translation, firewall(status.firewall)
    if not any(permit.protocol in (None, "udp") for permit in policy.outbound):
        assert shown == {"mapping": None, "filtering": None, "allocation": None}
    elif claimed is None:
        filtering = "none" if policy.inbound else "address-and-port-dependent"
        assert shown == {"mapping": "none", "filtering": filtering, "allocation": None}
    else:
        behaviour = claimed.udp
        assert shown == {axis: str(getattr(behaviour, axis)) for axis in shown}
    assert status.keepalive_s and status.keepalive_s >= 5
