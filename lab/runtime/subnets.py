"""What the host and its other containers use already, asked before anything is changed.

Belongs here: looking at subnets in use. Never: deciding what clashes; the topology does.
"""

import os
from ipaddress import IPv4Network
from pathlib import Path

from docker import DockerClient

from lab.runtime.mishaps import engine_errors
from lab.runtime.world import PROJECT

ROUTES = Path("/proc/net/route")


def subnets_in_use(client: DockerClient, name: str) -> dict[IPv4Network, str]:
    """Subnet -> who uses it, leaving out the networks of the lab called `name` and the bridges that belong to them."""
    used: dict[IPv4Network, str] = {}
    ours = set()
    with engine_errors("list its networks"):
        networks = client.api.networks()
    for network in networks:
        for pool in (network.get("IPAM") or {}).get("Config") or ():
            subnet = pool.get("Subnet", "")
            if ":" in subnet or not subnet:
                continue
            if (network.get("Labels") or {}).get(PROJECT) == name:
                ours.add(IPv4Network(subnet))
            else:
                used[IPv4Network(subnet)] = f"the Docker network {network['Name']}"
    if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:") or not ROUTES.exists():
        return used  # the engine is on another machine: this one's routes say nothing
    for interface, subnet in parse_routes(ROUTES.read_text()):
        if subnet not in ours and subnet not in used:
            used[subnet] = f"the host's interface {interface}"
    return used


def parse_routes(text: str) -> list[tuple[str, IPv4Network]]:
    """(interface, destination) of each line of /proc/net/route, without default routes."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        address, mask = (int.from_bytes(bytes.fromhex(fields[column])[::-1], "big") for column in (1, 7))
        if mask:
            routes.append((fields[0], IPv4Network((address & mask, mask.bit_count()))))
    return routes
