"""Probes: containers beside the lab's nodes, which craft packets for a certification and are gone with it.

Belongs here: starting and removing them, and free addresses for them. Never: what they are told to do.
They carry the lab's name, so `lab down` removes them, and none of the labels by which nodes are found.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from types import TracebackType
from typing import Any, Self

from docker import DockerClient
from docker.errors import APIError, NotFound

from lab.errors import RuntimeUnavailable
from lab.runtime.control import ControlChannel, Json
from lab.runtime.images import PROBE
from lab.runtime.mishaps import engine_errors
from lab.runtime.world import NETWORK, PROJECT
from lab.topology.model import Node, Role

LABEL = "lab.probe"
READY_SECONDS = 60.0
"""A probe needs half a second; the rest is for many that start at once."""
# Addresses and rules, raw sockets; and looking inside on engines that run in a chroot themselves.
_CAPABILITIES = ["NET_ADMIN", "NET_RAW", "SYS_CHROOT"]


@dataclass(frozen=True)
class Place:
    """Where a probe goes: a network by its name in the compose file, and the addresses that the engine gives it."""

    network: str
    address: str
    address6: str | None = None


class Probe:
    """A probe that runs. Leaving the `with` block removes it; so does the end of this program, however that comes."""

    def __init__(
        self,
        client: DockerClient,
        lab: str,
        name: str,
        place: Place,
        environment: Mapping[str, str],
        settings: Mapping[str, Any],
        hear: Callable[[Json], None],
    ) -> None:
        """`settings` are lab.probe's own; `hear` gets what it sees, on a thread of its own."""
        self.name = name
        self._client = client
        self._hear = hear
        self._ready = threading.Event()
        self._failure = ""
        with engine_errors(f"start the probe {name}"):
            self._id = _create(client, lab, name, place, environment)
            client.api.start(self._id)
        try:
            argv = ["python3", "-m", "lab.probe", json.dumps(settings)]
            self._channel = ControlChannel(client, self._id, name, self._event, argv=argv)
            if not self._ready.wait(READY_SECONDS) or self._failure:
                raise RuntimeUnavailable(f"the probe {name} did not start: {self._failure or 'it said nothing'}")
        except BaseException:
            remove(client, self._id)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        remove(self._client, self._id)

    def order(self, order: str, **fields: object) -> Json:
        """Give it an order and return its answer; raises LabError."""
        return self._channel.order(order, within=READY_SECONDS, **fields)

    def _event(self, said: Json | None) -> None:
        if said is None:
            self._failure = self._failure or "it ended"
            self._ready.set()
        elif said["event"] == "seen":
            self._hear(said)
        else:
            self._failure = str(said.get("error", ""))
            self._ready.set()


def remove_all(client: DockerClient, lab: str) -> None:
    """Remove the probes that an interrupted certification has left."""
    with engine_errors("list probes"):
        found = client.api.containers(all=True, filters={"label": [f"{PROJECT}={lab}", LABEL]})
    for container in found:
        remove(client, container["Id"])


def free_addresses(
    subnet: IPv4Network | IPv6Network, taken: Collection[IPv4Address | IPv6Address], count: int
) -> tuple[str, ...]:
    """Addresses that nobody holds, from the end of the subnet, without its last but one, which is the engine's.

    Raises RuntimeUnavailable where there are not so many.
    """
    last = int(subnet.broadcast_address) - 1
    found: list[str] = []
    for number in range(last - 1, int(subnet.network_address) + 1, -1):
        address = ip_address(number)
        if address not in taken:
            found.append(str(address))
        if len(found) == count:
            return tuple(found)
    raise RuntimeUnavailable(f"{subnet} has {len(found)} free addresses, and {count} are needed")


def addresses_in_use(client: DockerClient, lab: str, network: str) -> set[IPv4Address | IPv6Address]:
    """Addresses that the engine has given to containers on a network."""
    with engine_errors(f"inspect the network {network}"):
        found = client.api.inspect_network(network_of(client, lab, network)["Id"])
    given = [
        one.get(key, "").partition("/")[0]
        for one in (found.get("Containers") or {}).values()
        for key in ("IPv4Address", "IPv6Address")
    ]
    return {ip_address(text) for text in given if text}


def network_of(client: DockerClient, lab: str, name: str) -> dict[str, Any]:
    """What the engine says of a network of the lab; raises RuntimeUnavailable where there is none."""
    found = client.api.networks(filters={"label": [f"{PROJECT}={lab}", f"{NETWORK}={name}"]})
    if not found:
        raise RuntimeUnavailable(f"the lab has no network {name}; `lab up` makes it")
    return dict(found[0])


def _create(client: DockerClient, lab: str, name: str, place: Place, environment: Mapping[str, str]) -> str:
    api = client.api
    network = str(network_of(client, lab, place.network)["Name"])
    host = api.create_host_config(
        cap_drop=["ALL"],
        cap_add=_CAPABILITIES,
        security_opt=["no-new-privileges:true"],
        read_only=True,
        tmpfs={"/run": "", "/tmp": ""},
        network_mode=network,
        auto_remove=True,
        dns=["127.0.0.1"],  # names are not resolved; nothing leaves the host
    )
    endpoint = api.create_endpoint_config(ipv4_address=place.address, ipv6_address=place.address6)
    created = api.create_container(
        f"{PROBE}:latest",
        hostname=name,
        labels={PROJECT: lab, LABEL: name},
        environment=dict(environment),
        host_config=host,
        networking_config=api.create_networking_config({network: endpoint}),  # type: ignore[arg-type]
    )
    return str(created["Id"])


def remove(client: DockerClient, container: str) -> None:
    """Remove what may be on its way out already."""
    with contextlib.suppress(NotFound, APIError):
        client.api.remove_container(container, force=True, v=True)


def environment(node: Node) -> dict[str, str]:
    """What start-up is told on the internet: the addresses of core, where the node is it."""
    if node.role is not Role.CORE:
        return {}
    return {"LAB_CORE": str(node.attachments[0].address.ip)}
