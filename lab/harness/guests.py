"""Any program behind a site's router, as a host of its LAN.

Belongs here: where it stands. Never: containers (lab.runtime.guests).
"""

from collections.abc import Callable, Sequence

from lab.errors import AddressTaken, ConfigError
from lab.harness import probing
from lab.harness.probing import Stand
from lab.runtime import guests
from lab.runtime.connection import Engine
from lab.runtime.world import World
from lab.topology.model import Network

Say = Callable[[str], None]


def run(engine: Engine, world: World, site: str, image: str | None, command: Sequence[str], say: Say) -> int:
    """Run a command on a free address of a site's LAN until it ends; its exit status. `say` hears which address.

    Raises ConfigError where there is no such site or image, RuntimeUnavailable where its router does not run, or no
    address is free.
    """
    if not command and image is None:
        raise ConfigError(f"name a command: lab run {site} -- COMMAND")
    router = world.running(world.topology.router_of(site).name)
    network = world.topology.lan_of(site)
    held, berth = _moored(engine, world, network)
    with berth:
        told = [*([] if network.ipv6_only else held.addresses), *held.addresses6]
        say(f"at {' and '.join(told)}, behind {router.node}")
        return guests.run(engine, world.name, berth.id, image, command)


def _moored(engine: Engine, world: World, network: Network) -> tuple[Stand, guests.Berth]:
    """A berth, and where it is. Who comes at the same time may find the same address free, and the engine gives it to
    one of them; the others take the next."""
    refused: list[str] = []
    while True:
        held = probing.stand(engine, world, network, 1, refused)  # ends where none is left
        try:
            return held, guests.Berth(engine, world.name, held.place, network.ipv6_only)
        except AddressTaken:
            refused += [*held.addresses, *held.addresses6]
