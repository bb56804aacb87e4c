"""Which networks a running container hangs on: taken off one, put on another, and its start-up's wiring done again.

Belongs here: the engine's side of a cable, and what is run inside for the kernel's. Never: which client goes where.
"""

import json
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from docker import DockerClient

from lab.errors import RuntimeUnavailable
from lab.runtime.exec import run
from lab.runtime.mishaps import engine_errors
from lab.runtime.world import NETWORK, PROJECT, Container
from lab.topology.model import Network


def unplug(client: DockerClient, container: Container) -> bool:
    """Pull every cable of a node; its programs go on. False where they were out already."""
    return _cable(client, container, "unplug")


def plug(client: DockerClient, container: Container) -> bool:
    """Put the cables back, with the addresses and routes of before. False where they were in."""
    return _cable(client, container, "plug")


def rewire(client: DockerClient, container: Container, *, ipv6_only: bool = False) -> None:
    """Do start-up's wiring again, after the engine has given a node another interface."""
    _cable(client, container, "attach", "ipv6" if ipv6_only else "both")


def reattach(
    client: DockerClient,
    container: Container,
    lab: str,
    source: Network | None,
    target: Network,
    address: IPv4Address,
    address6: IPv6Address | None,
) -> None:
    """Take a container off one network of the lab and put it on another, under that address. Raises RuntimeUnavailable.

    The networks may be one: then it gets another address there. Where the new one refuses, the container is put back.
    `source` None: it hangs on none. One that is stopped is wired when it starts.
    """
    before, after = _network(client, lab, source.name) if source else None, _network(client, lab, target.name)
    with engine_errors(f"move {container.node} to {target.name}"):
        held = client.api.inspect_container(container.id)["NetworkSettings"]["Networks"]
        old: dict[str, Any] = next((one for one in held.values() if one["NetworkID"] == before), {})
        if before:
            if container.running:
                _cable(client, container, "detach")
            client.api.disconnect_container_from_network(container.id, before)
        try:
            client.api.connect_container_to_network(
                container.id, after, ipv4_address=str(address), ipv6_address=str(address6) if address6 else None
            )
        except BaseException:
            if not source or not before:
                raise
            kept = old.get("IPAMConfig") or {}
            client.api.connect_container_to_network(
                container.id,
                before,
                ipv4_address=kept.get("IPv4Address"),
                ipv6_address=kept.get("IPv6Address"),
            )
            if container.running:
                rewire(client, container, ipv6_only=source.ipv6_only)
            raise
    if container.running:
        rewire(client, container, ipv6_only=target.ipv6_only)


def addresses_in_use(client: DockerClient, lab: str, network: str) -> set[str]:
    """The addresses that the engine has given to containers on a network of the lab."""
    with engine_errors(f"look at the network {network}"):
        found = client.api.inspect_network(_network(client, lab, network))
    return {
        str(one[key]).partition("/")[0]
        for one in (found.get("Containers") or {}).values()
        for key in ("IPv4Address", "IPv6Address")
        if one.get(key)
    }


def _network(client: DockerClient, lab: str, name: str) -> str:
    labels = {"label": [f"{PROJECT}={lab}", f"{NETWORK}={name}"]}
    with engine_errors(f"find the network {name}"):
        found = client.api.networks(filters=labels)
    if len(found) != 1:
        raise RuntimeUnavailable(f"expected one network {name} of the lab, the engine has {len(found)}; `lab up` again")
    return str(found[0]["Id"])


def _cable(client: DockerClient, container: Container, order: str, *more: str) -> bool:
    done = run(client, container.id, ["python3", "-m", "lab.boot.cable", order, *more])
    said = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    try:
        answer = json.loads(said[-1]) if said else {}
    except ValueError:
        answer = {}
    if done.status or not answer.get("ok"):
        words = answer.get("error") or (said[-1] if said else f"exit {done.status}")
        raise RuntimeUnavailable(f"{container.node} could not {order}: {words}")
    return bool(answer["changed"])
