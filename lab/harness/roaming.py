"""Events at run time that change where a node hangs: cables out and in, a client that goes to another site.

Belongs here: what is asked for and refused, and where a client goes. Never: interfaces and routes (boot, runtime).
"""

import time
from ipaddress import IPv4Address, IPv6Address

from lab.errors import ConfigError, RuntimeUnavailable
from lab.runtime import cables
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.logs import Logs
from lab.runtime.world import Container, World
from lab.topology.model import Network, Node, Role, Topology
from lab.topology.validate import PROXY_PORT

NOTICE_SECONDS = 10.0
"""How long a program may take to notice that its machine has other addresses; the kernel tells it at once."""


def unplug(engine: Engine, world: World, name: str) -> bool:
    """Pull a node's cables; its programs go on, and nobody is told. False where they were out. Raises ConfigError."""
    return cables.unplug(engine, world.running(_hangs(world.topology, name).name))


def plug(engine: Engine, world: World, name: str) -> bool:
    """Put a node's cables back; False where they were in. Raises ConfigError."""
    return cables.plug(engine, world.running(_hangs(world.topology, name).name))


def move(engine: Engine, world: World, name: str, site: str) -> tuple[str, str]:
    """Take a client off its LAN and put it on that of another site; returns the sites left and entered.

    Its program goes on running and finds itself elsewhere, as a laptop does. Raises ConfigError, RuntimeUnavailable.
    """
    topology = world.topology
    node, target = may_move(topology, name, site)
    container = world.running(name)
    source = lan_of(topology, str(node.site))
    taken = cables.addresses_in_use(engine, world.name, target.name)
    taken |= {str(attachment.address.ip) for one in topology.nodes for attachment in one.attachments}
    address, address6 = free_address(target, taken)
    begun = time.time()
    tell_proxy(engine, topology, container, site)
    cables.reattach(engine, container, world.name, source, target, address, address6)
    _await(engine, container, {str(address), str(address6)} - {"None"}, begun)
    return str(node.site), site


def tell_proxy(engine: Engine, topology: Topology, container: Container, site: str) -> None:
    """Tell a client which proxy the site has that it is about to be at, as a network tells its hosts (WPAD, DHCP)."""
    proxy = next((node for node in topology.by_role(Role.PROXY) if node.site == site), None)
    url = f"http://{proxy.attachments[0].address.ip}:{PROXY_PORT}" if proxy else None
    lan = lan_of(topology, site)
    networks = [str(lan.subnet)] + ([str(lan.subnet6)] if lan.subnet6 else [])
    with ControlChannel(engine, container.id, container.node) as channel:
        channel.order("proxy", url=url, networks=networks)


def may_move(topology: Topology, name: str, site: str) -> tuple[Node, Network]:
    """The client, and the LAN that it would go to. Raises ConfigError where that makes no sense."""
    node = topology.node(name)
    if node.role is not Role.CLIENT:
        raise ConfigError(f"only clients move; {name} is a {node.role}")
    target = lan_of(topology, site)
    if node.site == site:
        raise ConfigError(f"{name} is at {site} already; name another of {', '.join(sorted(_with_lan(topology)))}")
    return node, target


def _await(engine: Engine, container: Container, wanted: set[str], begun: float) -> None:
    """Return when a client's program has one of these addresses as its own. Raises RuntimeUnavailable.

    Every line that it logs since then is a reason to ask again, and its log is followed from before the first question.
    """
    deadline = time.monotonic() + NOTICE_SECONDS
    with Logs(engine, [container], lambda one: begun) as logs:
        while True:
            with ControlChannel(engine, container.id, container.node) as channel:
                if wanted & set(channel.order("status").get("addresses") or ()):
                    return
            if logs.next(deadline) is None:
                raise RuntimeUnavailable(
                    f"{container.node} hangs at its new network, but its program has not noticed within "
                    f"{NOTICE_SECONDS:g} s; `lab logs {container.node}` may say why"
                )


def lan_of(topology: Topology, site: str) -> Network:
    """The LAN of a site that clients can be at. Raises ConfigError naming the ones there are."""
    for network in topology.networks:
        if network.site == site and network.kind == "site":
            return network
    allowed = ", ".join(sorted(_with_lan(topology)))
    if site in topology.sites():
        raise ConfigError(f"{site} is a carrier: its LAN is for routers; clients go to one of {allowed}")
    raise ConfigError(f"no site is called {site!r}; the lab has {allowed}")


def free_address(network: Network, taken: set[str]) -> tuple[IPv4Address, IPv6Address | None]:
    """An address of the network that nobody has, and the one of IPv6 with the same number where it has both."""
    last = network.subnet.num_addresses - 2
    for number in [*range(20, last), *range(2, min(20, last))]:
        address = network.subnet[number]
        address6 = network.subnet6[number] if network.subnet6 else None
        if str(address) not in taken and str(address6) not in taken:
            return address, address6
    raise RuntimeUnavailable(f"network {network.name} ({network.subnet}) has no free address left for another client")


def _with_lan(topology: Topology) -> list[str]:
    return [str(network.site) for network in topology.networks if network.kind == "site"]


def _hangs(topology: Topology, name: str) -> Node:
    node = topology.node(name)
    if node.role is Role.CORE:
        raise ConfigError(f"{name} is the internet itself: unplug a node of it, or `lab kill {name}` to stop it whole")
    return node
