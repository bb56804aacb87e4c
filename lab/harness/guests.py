"""Any program behind a site's router, as a host of its LAN.

Belongs here: where it stands. Never: containers (lab.runtime.guests).
"""

from collections.abc import Callable, Sequence

from lab.errors import ConfigError
from lab.harness import probing
from lab.runtime import guests
from lab.runtime.connection import Engine
from lab.runtime.world import World

Say = Callable[[str], None]


def run(engine: Engine, world: World, site: str, image: str | None, command: Sequence[str], say: Say) -> int:
    """Run a command on a free address of a site's LAN until it ends; its exit status. `say` hears which address.

    Raises ConfigError where there is no such site or image, RuntimeUnavailable where its router does not run.
    """
    if not command and image is None:
        raise ConfigError(f"name a command: lab run {site} -- COMMAND")
    router = world.running(world.topology.router_of(site).name)
    network = world.topology.lan_of(site)
    held = probing.stand(engine, world, network, 1)
    with guests.Berth(engine, world.name, held.place, network.ipv6_only) as berth:
        told = [*([] if network.ipv6_only else held.addresses), *held.addresses6]
        say(f"at {' and '.join(told)}, behind {router.node}")
        return guests.run(engine, world.name, berth.id, image, command)
