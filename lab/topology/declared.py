"""A node as it is written, and where it hangs: what the rules of validate.py and validate6.py stand on.

Belongs here: look-ups that more than one rule needs. Never: a rule.
"""

from dataclasses import dataclass

from lab.internet import Route
from lab.topology.model import Network, Node


@dataclass(frozen=True)
class Declared:
    """A node as written, with what its program will be told."""

    node: Node
    environment: dict[str, str]
    routes: tuple[Route, ...]


def lan_of(site: str | None, networks: tuple[Network, ...]) -> Network:
    """The network behind a site's or a carrier's router."""
    return next(network for network in networks if network.site == site)


def upstream_of(router: Node, networks: tuple[Network, ...]) -> Network | None:
    """The network that a router's way out goes through: the internet, or a carrier's that is not its own."""
    own = {attachment.network for attachment in router.attachments}
    outside = [n for n in networks if n.name in own and n.site != router.site and n.kind != "site"]
    return outside[0] if len(outside) == 1 else None
