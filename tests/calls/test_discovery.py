"""What each client of the reference lab finds out about its network is what its router was told to be."""

import time

import pytest

from lab.harness import Lab
from lab.harness.status import NodeStatus
from lab.nat import firewall, profile
from lab.runtime.logs import Logs, started_at

CLIENTS = ("alice", "bob", "carol", "dave", "erin", "frank")
SECONDS = 30.0
"""From sign-in to what was found. Two are usual; where a supernode was away it is looked for again after 5, 10, 20."""


def shown(lab: Lab, client: str) -> NodeStatus:
    return next(node for node in lab.status().nodes if node.name == client)


def found(lab: Lab, client: str, axes: dict[str, str | None]) -> NodeStatus:
    """The client's status once it shows these axes, or when it has had SECONDS to find them out: each word of the
    client's that it has found something is a reason to look."""
    with Logs(lab.engine, [lab.running_world().running(client)], lambda it: started_at(lab.engine, it)) as logs:
        deadline = time.monotonic() + SECONDS
        while (said := logs.next(deadline)) is not None:
            if said.line and said.line.get("event") == "network-found":
                status = shown(lab, client)
                if status.network and axes.items() <= status.network.items():
                    return status
    return shown(lab, client)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_finds_out_what_its_router_was_told_to_be(lab: Lab, client: str) -> None:
    status = shown(lab, client)
    assert status.profile and status.firewall
    claimed, policy = profile(status.profile).translation, firewall(status.firewall)
    axes: dict[str, str | None] = {"mapping": None, "filtering": None, "allocation": None, "tcp_mapping": None}
    if any(permit.protocol in (None, "udp") for permit in policy.outbound):
        if claimed is None:
            axes |= {"mapping": "none", "filtering": "none" if policy.inbound else "address-and-port-dependent"}
        else:
            axes |= {axis: str(getattr(claimed.udp, axis)) for axis in ("mapping", "filtering", "allocation")}
    if any(permit.protocol in (None, "tcp") and permit.port is None for permit in policy.outbound):
        axes["tcp_mapping"] = "none" if claimed is None else str(claimed.tcp.mapping)
    status = found(lab, client, axes)
    assert status.network
    assert {axis: status.network[axis] for axis in axes} == axes
    assert status.keepalive_s and status.keepalive_s >= 5
