"""Addresses as people call them: `bob`, `home wan` for a site's outer address, `supernode-1`.

Pure. Belongs here: who holds an address, and what that is called. Never: looking anything up on the network.
"""

from ipaddress import ip_address

from lab.internet import is_private
from lab.topology.model import Node, Role, Topology


def holders(topology: Topology) -> dict[str, Node]:
    """Who holds each address, in its usual text form."""
    return {str(address): node for node in topology.nodes for address in node.addresses}


class Names:
    """Of a topology as it stands; an address that nobody holds stays as it is."""

    def __init__(self, topology: Topology) -> None:
        self._names: dict[str, str] = {}
        self._sites = [network.subnet for network in topology.networks if network.site and is_private(network.subnet)]
        lans = {network.name: network.site for network in topology.networks if network.site}
        for address, node in holders(topology).items():
            near = [one for one in node.attachments if node.site and lans.get(one.network) == node.site]
            inner = {str(one.address.ip) for one in near} | {str(one.address6.ip) for one in near if one.address6}
            side = "lan" if address in inner else "wan"
            self._names[address] = f"{node.site} {side}" if node.role is Role.ROUTER else node.name

    def host(self, address: str) -> str:
        """`home wan`."""
        return self._names.get(address, address)

    def endpoint(self, address: str, port: int | None) -> str:
        """`home wan:40000`; `bob` without a port; an IPv6 address that has no name stands in brackets."""
        name = self.host(address)
        if port is None:
            return name
        return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"

    def private(self, address: str) -> bool:
        """Whether it belongs to a network that the internet has no way to."""
        parsed = ip_address(address)
        return parsed.version == 4 and any(parsed in network for network in self._sites)

    def text(self, endpoint: str) -> str:
        """The same of `203.0.113.32:40000` or `[2001:db8::1]:443`; other text stays as it is."""
        host, colon, port = endpoint.rpartition(":")
        if not colon or not port.isdecimal():
            return endpoint
        host = host.removeprefix("[").removesuffix("]")
        try:
            ip_address(host)
        except ValueError:
            return endpoint
        return self.endpoint(host, int(port))
