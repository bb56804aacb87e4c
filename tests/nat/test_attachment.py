"""What start-up leaves behind in every node: who runs, with which privileges, and who answers.

Capability sets as /proc/PID/status writes them (linux/capability.h: NET_ADMIN 12, NET_RAW 13, SYS_CHROOT 18,
SYS_NICE 23).
"""

import json

import pytest
from reach import Node, Nodes

ROUTING = 1 << 12 | 1 << 13 | 1 << 18
PUNCTUAL = 1 << 23
GIVING = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8  # KILL, SETGID, SETUID, SETPCAP: for miniupnpd, which keeps NET_ADMIN alone


def _status(node: Node, pid: int = 1) -> dict[str, str]:
    lines = (line.partition(":") for line in node.run("cat", f"/proc/{pid}/status").splitlines())
    return {key: value.strip() for key, _, value in lines}


@pytest.mark.parametrize("name", ["alice", "erin", "supernode-1", "relay-1", "authority"])
def test_programs_are_an_ordinary_user_with_nothing_left(nodes: Nodes, name: str) -> None:
    status = _status(nodes[name])
    assert set(status["Uid"].split()) == {"1000"}
    assert status["NoNewPrivs"] == "1"
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}


@pytest.mark.parametrize(
    ("name", "held"),
    [("core", ROUTING | PUNCTUAL), ("park-router", ROUTING | GIVING), ("bank-router", ROUTING | GIVING)],
)
def test_routers_hold_what_routing_and_capturing_need(nodes: Nodes, name: str, held: int) -> None:
    status = _status(nodes[name])
    assert status["NoNewPrivs"] == "1"
    assert status["CapBnd"] == status["CapEff"] == f"{held:016x}"


@pytest.mark.parametrize("name", ["core", "relay-1", "supernode-1", "alice"])
def test_only_routers_remember_flows(nodes: Nodes, name: str) -> None:
    assert "1 received" in nodes["bob"].run("ping", "-c", "1", "-W", "1", nodes[name].address)
    assert nodes[name].run("cat", "/proc/net/nf_conntrack") == ""


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("core", {"state": "ready"}),
        ("hotel-router", {"state": "ready", "site": "hotel", "profile": "symmetric", "firewall": "udp-blocked"}),
    ],
)
def test_routers_answer_what_they_are(nodes: Nodes, name: str, state: dict[str, str]) -> None:
    order = """printf '{"id": 1, "order": "status"}\\n' | socat - UNIX-CONNECT:/run/lab/control.sock"""
    said = json.loads(nodes[name].run("sh", "-c", order))
    assert said.items() >= {"id": 1, "ok": True, **state}.items()


def test_the_first_process_of_a_router_takes_in_orphans(nodes: Nodes) -> None:
    router = nodes["home-router"]
    orphan = router.run("sh", "-c", "sh -c 'echo $$; exec >&- 2>&-; kill -STOP $$' & exit").strip()
    assert _status(router, int(orphan))["PPid"] == "1"
    reaped = (
        f"kill -KILL {orphan}; while kill -0 {orphan} 2>&-; do :; done; echo reaped"  # a zombie still takes signals
    )
    assert "reaped" in router.run("timeout", "5", "sh", "-c", reaped)
