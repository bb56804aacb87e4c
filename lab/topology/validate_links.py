"""Whether the access links of a file are of sites that have such a link, at the hops where it ends.

Belongs here: LAB_LINKS and LAB_SEED of core's and of routers' environment. Never: what a link does (lab.links).
"""

from collections.abc import Iterable, Mapping, Sequence

from lab.errors import ConfigError
from lab.links import Entry, entries, write
from lab.links.notation import SEED, read_seed
from lab.topology.declared import Declared, lan_of, upstream_of
from lab.topology.model import Network, Node, Role


def links_fit_sites(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """Where a link ends a site's packets are known by the outer addresses of its router: at core, or at the carrier."""
    routers = {str(one.node.site): one.node for one in declared if one.node.role is Role.ROUTER}
    read = {one.node.name: _links_of(one) for one in declared if one.node.role in (Role.CORE, Role.ROUTER)}
    for one in declared:
        node = one.node
        if node.role is Role.CORE:
            _links_end_at(
                node.name,
                read[node.name],
                next(network for network in networks if network.kind == "internet"),
                routers,
                networks,
            )
        elif node.role is Role.ROUTER and read[node.name]:
            inside, upstream = lan_of(str(node.site), networks), upstream_of(node, networks)
            carrier = inside.kind == "carrier"
            subscribers = [entry for entry in read[node.name] if carrier and entry.site != node.site]
            if subscribers:
                _no_second_carrier(node, upstream)
                _links_end_at(node.name, subscribers, inside, routers, networks)
                for entry in subscribers:
                    _toward_nobody(entry, node)
                    _same_at_both_ends(entry, node.name, routers[entry.site].name, read)
            if own := [entry for entry in read[node.name] if entry not in subscribers]:
                _own_link(node, own, upstream, routers, read)


def _links_of(one: Declared) -> tuple[Entry, ...]:
    try:
        read_seed(one.environment.get(SEED, ""))
        return entries(one.environment.get("LAB_LINKS", ""))
    except ConfigError as error:
        raise ConfigError(f"node {one.node.name}: {error}") from error


def _links_end_at(
    name: str, links: Iterable[Entry], outside: Network, routers: Mapping[str, Node], networks: tuple[Network, ...]
) -> None:
    for entry in links:
        router = routers.get(entry.site)
        if router is None or upstream_of(router, networks) is not outside:
            on_it = _list(site for site, one in routers.items() if upstream_of(one, networks) is outside)
            where = "on the internet" if outside.kind == "internet" else f"behind {outside.site}"
            raise ConfigError(f"node {name}: LAB_LINKS names {entry.site}; sites {where} are {on_it}")
        held = {a.address.ip for a in router.attachments if a.network == outside.name} | {*router.outer}
        held6 = {a.address6.ip for a in router.attachments if a.network == outside.name and a.address6}
        if set(entry.addresses) != held | held6:
            raise ConfigError(
                f"node {name}: expected {_list(map(str, held | held6))} for {entry.site} in LAB_LINKS, "
                f"as {router.name} has, got {_list(map(str, entry.addresses))}"
            )


def _no_second_carrier(carrier: Node, upstream: Network | None) -> None:
    if upstream is not None and upstream.kind == "carrier":
        raise ConfigError(
            f"node {carrier.name}: expected no site behind {carrier.site} in its LAB_LINKS, for {carrier.site} sits "
            f"behind {upstream.site}: sites behind two carriers have no links of their own; leave them away"
        )


def _toward_nobody(entry: Entry, carrier: Node) -> None:
    for other in entry.link.toward:
        raise ConfigError(
            f"node {carrier.name}: expected no toward. for {entry.site} in LAB_LINKS, whose packets go to addresses "
            f"outside {carrier.site}, got toward.{other}; leave it away (`lab set {entry.site} --toward SITE` is for "
            "sites on the internet)"
        )


def _same_at_both_ends(entry: Entry, one: str, other: str, read: Mapping[str, tuple[Entry, ...]]) -> None:
    """What goes up is held back at the carrier, what comes down at the site's own router: both are told the link."""
    if entry not in read[other]:
        theirs = next((write([own]) for own in read[other] if own.site == entry.site), "none")
        raise ConfigError(
            f"node {other}: expected LAB_LINKS '{write([entry])}' as {one} has it, for a carrier's line ends at both, "
            f"got {theirs}"
        )


def _own_link(
    node: Node,
    links: Sequence[Entry],
    upstream: Network | None,
    routers: Mapping[str, Node],
    read: Mapping[str, tuple[Entry, ...]],
) -> None:
    if upstream is None or upstream.kind != "carrier":
        raise ConfigError(
            f"node {node.name}: LAB_LINKS is for core, carriers, and routers behind one; give core {links[0].site}'s"
        )
    if [entry.site for entry in links] != [node.site]:
        raise ConfigError(
            f"node {node.name}: expected {node.site} alone in LAB_LINKS, got {_list(e.site for e in links)}"
        )
    _same_at_both_ends(links[0], node.name, routers[str(upstream.site)].name, read)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
