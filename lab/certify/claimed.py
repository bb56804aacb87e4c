"""What a site's network claims: the axes of its routers, one behind the other, its firewall and its link.

Pure. Belongs here: composing what each router says of itself into what should be seen from inside.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

from lab import nat
from lab.certify import behaviour
from lab.certify.behaviour import Behaviour, OneWay, Outbound, Tcp
from lab.certify.deducing import strictest
from lab.certify.findings import FRAGMENT_BYTES, LONGER_BYTES, TCP_TO, UDP_TO, Fate
from lab.links import Impairment, Link
from lab.nat import FirewallPolicy, NatProfile, Timers, Translation

LONGEST_TCP_S = 150.0
"""A timer of TCP that is longer is not waited for, and so nothing is claimed of it: RFC 5382 wants two hours."""
MTU = 1500
"""Bytes of an IP packet on an Ethernet: a link that claims no MTU carries as much."""

PLAIN = OneWay(0.0, 0.0, MTU, False)
"""A direction that nothing was asked of."""


@dataclass(frozen=True)
class Router:
    """One router on the way out, as it says itself; `outer`: how many outer addresses it has."""

    name: str
    profile: NatProfile
    firewall: FirewallPolicy
    outer: int = 1


@dataclass(frozen=True)
class LinkClaim:
    """What is asked of each direction of the access link, and the rates, in bit/s, at which a packet leaves.

    `queue_bytes`: what may wait for the rate, in the direction that has less room; None without a rate.
    `clumping`: by how much losses in bursts widen the variance of their number. `loss_after_loss`: what is lost of the
    packets right behind a lost one, in the direction where bursts last longer.
    """

    up: OneWay = PLAIN
    down: OneWay = PLAIN
    up_rate: int | None = None
    down_rate: int | None = None
    queue_bytes: float | None = None
    jitter_s: float = 0.0
    clumping: float = 1.0
    loss_after_loss: float = 0.0

    @property
    def rate(self) -> int | None:
        """Of the narrower direction."""
        return min((rate for rate in (self.up_rate, self.down_rate) if rate is not None), default=None)

    def takes(self, size: int) -> bool:
        """Whether so many bytes find room in its queues at once."""
        return self.queue_bytes is None or self.queue_bytes >= size

    def clumps(self, gap_s: float) -> float:
        """By how much losses that come together widen the variance of their number, among packets so far apart: those
        in bursts, and what finds the queue full while a long word of the site's own clients leaves it."""
        if self.rate is None or self.queue_bytes is None:
            return self.clumping
        return max(self.clumping, min(self.queue_bytes, MTU) * 8 / self.rate / gap_s)


def link_claim(link: Link) -> LinkClaim:
    """A link's figures, as they should be seen."""
    up, down = link.up, link.down
    return LinkClaim(
        up=_claimed_way(up),
        down=_claimed_way(down),
        up_rate=up.rate,
        down_rate=down.rate,
        queue_bytes=min((way.queue_limit for way in (up, down) if way.rate is not None), default=None),
        jitter_s=max(up.jitter, down.jitter),
        clumping=max(_clumping(up), _clumping(down)),
        loss_after_loss=max(way.burst.loss_after_loss if way.burst else way.loss for way in (up, down)),
    )


def in_series(near: LinkClaim, far: LinkClaim) -> LinkClaim:
    """Two links in a row, as one sees them from inside: a site's to its carrier, and the carrier's."""
    queues = [one.queue_bytes for one in (near, far) if one.queue_bytes is not None]
    return LinkClaim(
        up=_after(near.up, far.up),
        down=_after(far.down, near.down),
        up_rate=_one_rate(near.up_rate, far.up_rate),
        down_rate=_one_rate(near.down_rate, far.down_rate),
        queue_bytes=min(queues, default=None),
        jitter_s=near.jitter_s + far.jitter_s,
        clumping=max(near.clumping, far.clumping),
        loss_after_loss=_either(near.loss_after_loss, far.loss_after_loss),
    )


def _after(one: OneWay, other: OneWay) -> OneWay:
    """In the order in which packets come to them: of two that take as much the first says what longer ones meet."""
    narrow = min(one, other, key=lambda way: way.mtu or MTU)
    delay, loss = (one.delay_ms or 0.0) + (other.delay_ms or 0.0), _either(one.loss or 0.0, other.loss or 0.0)
    return OneWay(delay, loss, narrow.mtu, narrow.blackhole)


def _either(one: float, other: float) -> float:
    return round(1 - (1 - one) * (1 - other), 9)


def _one_rate(one: int | None, other: int | None) -> int | None:
    """At which a packet takes as long as it does at both, one after the other."""
    rates = [rate for rate in (one, other) if rate is not None]
    return round(1 / sum(1 / rate for rate in rates)) if rates else None


def _claimed_way(way: Impairment) -> OneWay:
    loss = way.burst.loss if way.burst else way.loss
    return OneWay(way.delay * 1000, loss, way.mtu, way.blackhole and way.mtu < MTU)


def _clumping(way: Impairment) -> float:
    """A packet's fate says something of the next one's: (1 + c) / (1 - c) with their correlation c = 1 - p - r."""
    correlation = max(0.0, 1 - way.burst.p - way.burst.r) if way.burst else 0.0
    return (1 + correlation) / (1 - correlation) if correlation < 1 else 1.0


def claimed(
    routers: Sequence[Router], link: LinkClaim, *, proxy: bool = False, family: int = 4, probe_bytes: int = 0
) -> Behaviour:
    """What is to be seen from inside, the nearest router first.

    `proxy`: the site has one. `probe_bytes`: what its delay is measured with takes its time at the link's rate.
    """
    out = _outbound(routers, proxy)
    inbound = all(router.firewall.inbound for router in routers)
    translations = _translations(routers, family)
    outermost = [router for router in routers if router.profile.translation is not None][-1:]
    choice = any(router.outer > 1 for router in outermost)
    alone = len(routers) == 1
    udp = _transport([one.udp for one in translations], translations, inbound, choice, alone)
    tcp = _transport([one.tcp for one in translations], translations, inbound, choice, alone)
    prefix = family == 6 and any(router.profile.prefix_translation for router in routers)
    kept = _timers(routers, family)
    translated = bool(translations)
    any_tcp = out.tcp_443 is not None or out.tcp_80 or out.tcp_other
    two_ports = out.tcp_other or (out.tcp_443 is not None and out.tcp_80)
    return Behaviour(
        mapping=(udp.mapping if translated else behaviour.ENDPOINT_INDEPENDENT if prefix else None)
        if out.udp
        else None,
        filtering=udp.filtering if out.udp else None,
        allocation=udp.allocation if out.udp and translated else None,
        hairpinning=udp.hairpinning if out.udp and translated else None,
        hairpinning_source=behaviour.EXTERNAL if out.udp and udp.hairpinning else None,
        udp_timeout_s=float(kept.udp_timeout) if kept and out.udp else None,
        same_port=udp.same_port if out.udp and translated else None,
        pooling=udp.pooling if out.udp else None,
        ports=udp.ports if out.udp else None,
        ports_per_host=udp.ports_per_host if out.udp else None,
        unsolicited=udp.unsolicited if out.udp else None,
        prefix_translation=prefix,
        # connection tracking's: either way refreshes, errors are translated and end nothing, fragments are put together
        refreshed_by=behaviour.BOTH if kept and out.udp else None,
        icmp_errors=behaviour.DELIVERED if out.udp else None,
        outlives_icmp=True if out.udp else None,
        fragments=_fragments(link) if out.udp and out.udp_kbit_s is None else None,
        tcp=Tcp(
            mapping=(tcp.mapping if translated else behaviour.ENDPOINT_INDEPENDENT if prefix else None)
            if two_ports
            else None,
            filtering=tcp.filtering if any_tcp else None,
            allocation=tcp.allocation if any_tcp and translated else None,
            hairpinning=tcp.hairpinning if two_ports and translated else None,
            same_port=tcp.same_port if two_ports and translated else None,
            pooling=tcp.pooling if any_tcp else None,
            ports=tcp.ports if any_tcp else None,
            ports_per_host=tcp.ports_per_host if any_tcp else None,
            simultaneous_open=True if any_tcp else None,
            unsolicited=tcp.unsolicited if any_tcp else None,
            timeout_s=_waited_for(kept.tcp_timeout) if kept and any_tcp else None,
            transitory_timeout_s=_waited_for(kept.tcp_transitory_timeout) if kept and any_tcp else None,
            icmp_errors=behaviour.DELIVERED if any_tcp else None,
            outlives_icmp=True if any_tcp else None,
        ),
        outbound=out,
        link=_link(link, out, any_tcp, probe_bytes),
    )


@dataclass(frozen=True)
class _Transport:
    mapping: str | None
    filtering: str | None
    allocation: str | None
    hairpinning: bool | None
    same_port: str | None
    unsolicited: str
    pooling: str | None = None
    ports: tuple[int, int] | None = None
    ports_per_host: int | None = None


def _transport(
    axes: Sequence[nat.Behaviour], translations: Sequence[Translation], inbound: bool, choice: bool, alone: bool
) -> _Transport:
    """Axes of translations in a row: dependences add up, the outermost is whose addresses and ports one sees.

    `choice`: it has several addresses to choose from. `alone`: there is one router. A limit of ports is looked for
    where the hosts are its subscribers: behind another router they would use up its share.
    Connection tracking lets nothing new in through a translation that has not asked for it, nor through a firewall
    that blocks it; what is open to everybody filters nothing.
    """
    if not axes:
        filtering = None if inbound else behaviour.ADDRESS_AND_PORT_DEPENDENT
        unsolicited = Fate.ADMITTED if inbound else Fate.DROPPED
        return _Transport(None, filtering, None, None, None, unsolicited)
    mapping = strictest(str(one.mapping) for one in axes)
    independent = mapping == behaviour.ENDPOINT_INDEPENDENT
    allocations = [str(one.allocation) for one in axes]
    changed = [one for one in allocations if one != behaviour.PRESERVING]
    return _Transport(
        mapping=mapping,
        filtering=strictest(str(one.filtering) for one in axes) if inbound else behaviour.ADDRESS_AND_PORT_DEPENDENT,
        allocation=changed[-1] if changed else behaviour.PRESERVING,
        hairpinning=axes[-1].hairpinning and (independent or len(axes) == 1),
        same_port=_same_port(translations[0], mapping),
        unsolicited=Fate.DROPPED,
        pooling=str(axes[-1].pooling) if choice else None,
        ports=(axes[-1].ports.first, axes[-1].ports.last),
        ports_per_host=axes[-1].ports_per_host if alone else None,
    )


def drawn_from(routers: Sequence[Router], family: int) -> tuple[int | None, int | None]:
    """Of UDP and of TCP, from how many ports a host's are drawn at random, by the outermost translation: what another
    one has drawn before it does not show. None: they are not."""
    translations = _translations(routers, family)
    return (_drawn(translations[-1].udp), _drawn(translations[-1].tcp)) if translations else (None, None)


def _drawn(axes: nat.Behaviour) -> int | None:
    if axes.allocation is not nat.Allocation.RANDOM:
        return None
    return min(axes.ports.size, axes.ports_per_host or axes.ports.size)


def _same_port(nearest: Translation, mapping: str) -> str:
    """The nearest translation alone meets two hosts on one port: behind it they share an address, with a port each.

    One that splits gives another port to another destination; a mapping that depends on both all along looks the same.
    """
    splits = not nearest.clash_free and mapping != behaviour.ADDRESS_AND_PORT_DEPENDENT
    return behaviour.SPLIT if splits else behaviour.KEPT


def _translations(routers: Sequence[Router], family: int) -> list[Translation]:
    return [one.profile.translation for one in routers if one.profile.translation is not None] if family == 4 else []


def timers(router: Router, family: int) -> Timers | None:
    """For how long one router remembers, where it translates or lets in answers alone; None: it does neither."""
    if family == 4 and router.profile.translation is not None:
        return router.profile.translation.timers
    return None if router.firewall.inbound else router.profile.timers


def _timers(routers: Sequence[Router], family: int) -> Timers | None:
    """The shortest of each on the way; None: nothing is remembered."""
    kept = [one for router in routers if (one := timers(router, family)) is not None]
    return Timers(*map(min, zip(*map(astuple, kept), strict=True))) if kept else None


def _waited_for(seconds: int) -> float | None:
    return float(seconds) if seconds <= LONGEST_TCP_S else None


def _fragments(link: LinkClaim) -> bool | None:
    """Whether those that a certification sends pass; None where the link's queue takes no two of them at once."""
    if not link.takes(LONGER_BYTES):
        return None
    return not any(way.blackhole and (way.mtu or MTU) < FRAGMENT_BYTES for way in (link.up, link.down))


def _outbound(routers: Sequence[Router], proxy: bool) -> Outbound:
    policies = [router.firewall for router in routers]

    def passes(protocol: str, port: int | None = None) -> bool:
        return all(_permits(policy, protocol, port) for policy in policies)

    tls = any(_begins_like_tls(policy) for policy in policies)
    rates = [policy.udp_rate / 1000 for policy in policies if policy.udp_rate is not None]
    return Outbound(
        udp=passes("udp"),
        icmp=passes("icmp"),
        tcp_443=(behaviour.TLS if tls else behaviour.ANYTHING) if passes("tcp", 443) else None,
        tcp_80=passes("tcp", 80),
        tcp_other=passes("tcp"),
        proxy=True if proxy else None,
        proxy_elsewhere=False if proxy else None,
        udp_kbit_s=min(rates, default=None),
        udp_to={str(port): passes("udp", port) for port in UDP_TO},
        tcp_to={str(port): passes("tcp", port) for port in TCP_TO},
    )


def _permits(policy: FirewallPolicy, protocol: str, port: int | None) -> bool:
    """Whether the site's own hosts may open that; what its proxy may is another matter."""
    return any(
        one.protocol in (None, protocol) and one.port in (None, port) and one.source == "site"
        for one in policy.outbound
    )


def _begins_like_tls(policy: FirewallPolicy) -> bool:
    """Whether whatever passes to 443 has to begin like TLS."""
    permits = [one for one in policy.outbound if one.protocol in (None, "tcp") and one.port in (None, 443)]
    return bool(permits) and all(one.tls for one in permits if one.source == "site")


def _link(link: LinkClaim, out: Outbound, any_tcp: bool, probe_bytes: int) -> behaviour.Link:
    """Loss and MTU are seen on packets that get out as they were crafted; through a proxy there is but its delay."""
    crafted = out.udp or any_tcp
    if not crafted and not out.proxy:
        return behaviour.Link()
    up, down = _later(link.up, link.up_rate, probe_bytes), _later(link.down, link.down_rate, probe_bytes)
    if not crafted:
        up, down = OneWay(up.delay_ms), OneWay(down.delay_ms)
    return behaviour.Link(_mean(up.delay_ms, down.delay_ms), _mean(up.loss, down.loss), up, down)


def _later(way: OneWay, rate: int | None, size: int) -> OneWay:
    return replace(way, delay_ms=round((way.delay_ms or 0.0) + size * 8000 / rate, 3)) if rate else way


def _mean(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round((one + other) / 2, 6)
