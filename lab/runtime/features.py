"""What the kernel and the engine can do, tried and not guessed: each feature in a throwaway container without network.

Belongs here: trying. Never: what a missing feature means for a topology, or how results are shown.
"""

from dataclasses import dataclass

from docker import DockerClient

from lab.runtime.exec import ExecStream
from lab.runtime.mishaps import engine_errors

ROUTER_IMAGE = "lab/router"


@dataclass(frozen=True)
class Feature:
    """One thing to try: `script` exits 0 where it works. `mend` says what to do where it does not."""

    name: str
    required: bool
    script: str
    mend: str
    tells: bool = False
    """Whether the script's last word says how it works, and not only why it does not."""


@dataclass(frozen=True)
class Tried:
    """How it went; `said` is the last word of the tools."""

    feature: Feature
    works: bool
    said: str


_PACKET = "timeout --preserve-status 0.5 tcpdump -i any -w /dev/null"
_NAT = "iptables -t nat -A POSTROUTING -p udp -j MASQUERADE --random-fully"
# All that lab/boot/netem.py needs, as it needs it; core tries the same when it starts.
_NETEM = (
    "{ ip link add links-up type ifb && tc qdisc add dev links-up root handle 1: htb"
    " && tc class add dev links-up parent 1: classid 1:1 htb rate 1gbit"
    " && tc qdisc add dev links-up parent 1:1 handle 10: netem delay 1ms"
    " && tc qdisc add dev links-up parent 10:1 tbf rate 1mbit burst 4k latency 50ms"
    " && tc qdisc add dev lo handle ffff: ingress && tc filter add dev lo parent ffff: protocol ip prio 1"
    " u32 match ip src 192.0.2.0/24 flowid 1:1 action mirred egress redirect dev links-up; } 2>/dev/null"
)
_QUEUE = (
    "python3 -m lab.boot.nfqueue && iptables -t raw -A PREROUTING -j NFQUEUE --queue-num 1"
    " && ip6tables -t raw -A PREROUTING -j NFQUEUE --queue-num 1"
)

FEATURES = (
    Feature("iptables MASQUERADE --random-fully", True, _NAT, "load nf_nat and xt_MASQUERADE (modprobe xt_MASQUERADE)"),
    Feature(
        "connection tracking", True, "iptables -A FORWARD -m conntrack --ctstate NEW -j DROP", "modprobe xt_conntrack"
    ),
    Feature(
        "nftables NAT",
        True,
        "nft add table ip t && nft add chain ip t c '{ type nat hook postrouting priority srcnat; }'"
        " && nft add rule ip t c masquerade fully-random",
        "modprobe nft_masq nft_chain_nat",
    ),
    Feature("ipset", True, "ipset create t hash:ip,port", "modprobe ip_set_hash_ipport"),
    Feature(
        "delay, loss and rate of links",
        True,
        f"if {_NETEM}; then echo 'by netem'; else {_QUEUE} && echo 'by NFQUEUE, this kernel has no netem'; fi",
        "modprobe sch_netem ifb (then netem serves), or modprobe xt_NFQUEUE nfnetlink_queue",
        tells=True,
    ),
    Feature(
        "lines of sites behind carriers",
        False,
        _QUEUE,
        "modprobe xt_NFQUEUE nfnetlink_queue (netem serves at core alone), or leave LAB_LINKS away at carriers "
        "and behind them",
    ),
    Feature("packet sockets (captures)", True, _PACKET, "modprobe af_packet"),
)


def try_features(client: DockerClient) -> list[Tried]:
    """Try each feature in one container of the router image without network. Raises RuntimeUnavailable."""
    with engine_errors(f"start a container of {ROUTER_IMAGE} to try the kernel's features in"):
        host = client.api.create_host_config(network_mode="none", cap_add=["NET_ADMIN", "NET_RAW"], auto_remove=True)
        made = client.api.create_container(
            ROUTER_IMAGE, entrypoint=["sleep"], command=["60"], host_config=host, labels={"lab.probe": "features"}
        )
        client.api.start(made["Id"])
    try:
        return [_try(client, made["Id"], feature) for feature in FEATURES]
    finally:
        with engine_errors("remove the container that features were tried in"):
            client.api.remove_container(made["Id"], force=True, v=True)


def _try(client: DockerClient, container: str, feature: Feature) -> Tried:
    words: list[bytes] = []
    with ExecStream(client, container, ["sh", "-c", feature.script]) as stream:
        words = [data for _, data in stream.chunks()]
        status = stream.status()
    lines = b"".join(words).decode(errors="replace").strip().splitlines()
    return Tried(feature, status == 0, lines[-1] if lines else "")
