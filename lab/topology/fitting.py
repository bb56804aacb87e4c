"""What a site's router is told, held against what the site has: by a file's rules, and before a change at run time.

Belongs here: what of a topology decides it. Never: what goes with what (lab.nat.fitting).
"""

from collections.abc import Iterable

from lab import nat
from lab.errors import ConfigError
from lab.topology.declared import lan_of, upstream_of
from lab.topology.model import Network, Node, Role


def router_fits(router: Node, nodes: Iterable[Node], networks: tuple[Network, ...]) -> None:
    """Whether the profile, axes and firewall of a router go with its site. Raises ConfigError that names the site."""
    try:
        profile = nat.profile(
            str(router.profile), router.axes or "", router.profile6 or "open", router.portmap or "off"
        )
        nat.fits(profile, nat.firewall(str(router.firewall)), _site(router, nodes, networks))
    except ConfigError as error:
        raise ConfigError(f"site {router.site}: {error}") from error


def _site(router: Node, nodes: Iterable[Node], networks: tuple[Network, ...]) -> nat.Site:
    inside, outside = lan_of(router.site, networks), upstream_of(router, networks)
    first = [each.address.ip for each in router.attachments if outside and each.network == outside.name]
    return nat.Site(
        inside=None if inside.ipv6_only else inside.subnet,
        inside6=inside.subnet6,
        outer=(*first, *router.outer),
        proxy=any(node.role is Role.PROXY and node.site == router.site for node in nodes),
        carrier=inside.kind == "carrier",
        behind=outside is not None and outside.kind == "carrier",
    )
