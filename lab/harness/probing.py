"""The probe on the internet, and where probes stand: free addresses of a network, in both its families.

Belongs here: places. Never: what is asked from them.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from ipaddress import ip_address

from lab.certify.bench import ALTERNATE, ELSEWHERE, PRIMARY
from lab.certify.ends import End
from lab.harness import standing
from lab.runtime import probes
from lab.runtime.connection import Engine
from lab.runtime.probes import Place, Probe
from lab.runtime.world import World
from lab.topology.model import Network, Role


@dataclass(frozen=True)
class Stand:
    """A probe's place on a network, and the addresses that it holds there, the engine's first."""

    network: Network
    addresses: tuple[str, ...]
    addresses6: tuple[str, ...]

    @property
    def place(self) -> Place:
        """Where the engine puts it."""
        return Place(self.network.name, self.addresses[0], self.addresses6[0] if self.addresses6 else None)

    def settings(self, role: str, families: Collection[int] = (4, 6)) -> dict[str, object]:
        """What the probe is told of its addresses; what the engine gave it of another family goes."""
        hold = [f"{one}/{self.network.subnet.prefixlen}" for one in self.addresses[1:] if 4 in families]
        if self.network.subnet6:
            hold += [f"{one}/{self.network.subnet6.prefixlen}" for one in self.addresses6[1:]]
        return {"role": role, "own": self.addresses[0] if 4 in families else self.addresses6[0], "hold": hold}


def stand(engine: Engine, world: World, network: Network, count: int, refused: Collection[str] = ()) -> Stand:
    """So many addresses that nobody holds, in each family of the network, and none that the engine has `refused`.
    Raises RuntimeUnavailable."""
    taken = probes.addresses_in_use(engine, world.name, network.name) | {ip_address(one) for one in refused}
    taken |= {address for node in world.topology.nodes for address in node.addresses}
    free6 = probes.free_addresses(network.subnet6, taken, count) if network.subnet6 else ()
    return Stand(network, probes.free_addresses(network.subnet, taken, count), free6)


class OpenSide:
    """The probe on the internet: RFC 5780's two addresses and two ports, and a third where its kernel's TCP listens."""

    LISTENER = 443

    def __init__(self, engine: Engine, world: World, fixed: bool = False) -> None:
        """`fixed`: what its STUN server names as the other endpoint (lab.probe.stun)."""
        network = next(one for one in world.topology.networks if one.kind == "internet")
        (core,) = world.topology.by_role(Role.CORE)
        now = standing.live(world.topology, standing.routers(engine, world))  # a router may have another address by now
        held = stand(engine, replace(world, topology=now), network, 3)
        self.addresses = held.addresses[:2]
        self.addresses6 = held.addresses6[:2]
        self.listener = (held.addresses[2], self.LISTENER)
        settings = {
            **held.settings("supernode"),
            "stun": {"addresses": list(self.addresses), "ports": [PRIMARY, ALTERNATE], "fixed": fixed},
            "listen": [*self.listener, ELSEWHERE],
        }
        self.end = End(self._order)
        environment = probes.environment(core)
        self._probe = Probe(engine, world.name, "probe", held.place, environment, settings, self.end.hear)

    def _order(self, order: str, **fields: object) -> dict[str, object]:
        return self._probe.order(order, **fields)

    def __enter__(self) -> "OpenSide":
        return self

    def __exit__(self, *error: object) -> None:
        self._probe.__exit__(None, None, None)

    def of(self, family: int) -> tuple[str, str]:
        """The two addresses of a family."""
        first, second = self.addresses if family == 4 else self.addresses6
        return first, second
