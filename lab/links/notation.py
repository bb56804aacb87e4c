"""Links as text: LAB_LINKS and LAB_SEED of a compose file, the changes of `lab set`, and what status shows.

Pure. Belongs here: names of axes and their values in writing. Never: what they do (line.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Any

from lab.errors import ConfigError
from lab.links.axes import CLEAN, FULL_MTU, SMALLEST_MTU_IPV6, Burst, Direction, Impairment, Link, Queue
from lab.links.units import parse_rate, parse_share, parse_size, parse_time, print_rate, print_share, print_time

Address = IPv4Address | IPv6Address
NOTHING = "none"
SEED = "LAB_SEED"
"""Of core's environment: what all that the links leave to chance begins with."""
_EXAMPLE = "home 203.0.113.32 delay=10ms up.rate=1mbit"


@dataclass(frozen=True)
class Entry:
    """One site's link, and the addresses of its router on the internet."""

    site: str
    addresses: tuple[Address, ...]
    link: Link


def entries(text: str) -> tuple[Entry, ...]:
    """Links from "SITE ADDRESS[,ADDRESS...] AXES; ...", nothing from "". Raises ConfigError.

    AXES are words [up.|down.|toward.SITE.]name=value; without a prefix both directions get the figure.
    """
    found = tuple(_entry(part.split()) for part in text.split(";") if part.strip())
    for index, entry in enumerate(found):
        for other in found[:index]:
            if other.site == entry.site:
                raise ConfigError(f"LAB_LINKS names the site {entry.site} twice; one entry a site")
            if shared := set(other.addresses) & set(entry.addresses):
                raise ConfigError(f"LAB_LINKS gives {min(map(str, shared))} to {other.site} and {entry.site}")
        for other_site in entry.link.toward:
            if other_site == entry.site or other_site not in {one.site for one in found}:
                others = ", ".join(one.site for one in found if one.site != entry.site) or "none"
                raise ConfigError(f"LAB_LINKS: {entry.site} toward {other_site!r}; allowed: {others}")
    return found


def _entry(words: list[str]) -> Entry:
    if len(words) < 2:
        raise ConfigError(f"expected LAB_LINKS like {_EXAMPLE!r}, got {' '.join(words)!r}")
    site, addresses, *axes = words
    try:
        outer = tuple(ip_address(part) for part in addresses.split(","))
    except ValueError as error:
        raise ConfigError(f"expected addresses of {site}'s router in LAB_LINKS, got {addresses!r}") from error
    link = Link()
    groups: dict[str, dict[str, str]] = {}
    for axis in axes:
        name, sign, value = axis.partition("=")
        prefix, _, name = name.rpartition(".")
        if not sign:
            raise ConfigError(f"expected name=value after {site}'s addresses in LAB_LINKS, got {axis!r}")
        if name in groups.setdefault(prefix, {}):
            raise ConfigError(f"LAB_LINKS gives {site}'s {axis.partition('=')[0]} twice")
        groups[prefix][name] = value
    for prefix, figures in _in_order(groups):
        direction, _, toward = prefix.partition(".")
        try:
            link = changed(link, direction or Direction.BOTH, figures, toward or None, ipv6=has_ipv6(outer))
        except ConfigError as error:
            raise ConfigError(f"{site} in LAB_LINKS: {error}") from error
    return Entry(site, outer, link)


def read_seed(text: str) -> int | None:
    """The number in LAB_SEED, None where there is none: one is drawn. Raises ConfigError."""
    if text and (not text.isdecimal() or len(text) > 20):
        raise ConfigError(f"expected a whole number in {SEED}, got {text!r}; leave it empty to have one drawn")
    return int(text) if text else None


def _in_order(groups: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Figures for both directions first, so that up.rate refines rate wherever it stands; queues when rates stand."""
    for queues in (False, True):
        for prefix in sorted(groups):
            if figures := {name: value for name, value in groups[prefix].items() if (name == "queue") is queues}:
                yield prefix, figures


def has_ipv6(addresses: tuple[Address, ...]) -> bool:
    """Whether a site with these outer addresses has IPv6, which allows no small MTU."""
    return any(address.version == 6 for address in addresses)


def changed(
    link: Link, direction: str, changes: Mapping[str, str], toward: str | None = None, *, ipv6: bool = False
) -> Link:
    """The link with some axes set anew in one direction, the others as they were. Raises ConfigError.

    `direction` is one of DIRECTIONS; "toward" needs the name of the other site. "none" takes a rate, queue or burst
    away. mtu and blackhole go with no "toward"; a queue for both is of the direction that has a rate, where only one
    has.
    """
    try:
        way = Direction(direction)
    except ValueError:
        raise ConfigError(f"unknown direction {direction!r}; allowed: {', '.join(DIRECTIONS)}") from None
    if (way is Direction.TOWARD) != (toward is not None):
        raise ConfigError(f"expected the other site with {Direction.TOWARD} and with nothing else, got {toward!r}")
    for name in changes:
        if name not in AXES:
            raise ConfigError(f"unknown axis {name!r} of a link; allowed: {', '.join(AXES)}")
        if name in OF_A_LINE and toward is not None:
            raise ConfigError(f"{name} is of a line, whoever its packets go to; give it without {way}")
    link = _changed(link, way, changes, toward)
    if ipv6 and changes.keys() & set(OF_A_LINE):
        link.check_mtu(SMALLEST_MTU_IPV6)
    return link


def _changed(link: Link, way: Direction, figures: Mapping[str, str], toward: str | None) -> Link:
    if toward is not None:
        try:
            impairment = _impaired(link.toward.get(toward, Impairment()), figures)
        except ConfigError as error:
            raise ConfigError(f"toward {toward}, on top of the link's own figures: {error}") from None
        there = {**link.toward, toward: impairment}
        left = {site: each for site, each in there.items() if not each.clean}
        return replace(link, toward=MappingProxyType(left))
    if way is Direction.BOTH:
        up, down = _both_impaired(link.up, link.down, figures)
        return replace(link, up=up, down=down)
    if way is Direction.UP:
        return replace(link, up=_impaired(link.up, figures))
    return replace(link, down=_impaired(link.down, figures))


def _both_impaired(up: Impairment, down: Impairment, figures: Mapping[str, str]) -> tuple[Impairment, Impairment]:
    others = {name: value for name, value in figures.items() if name != "queue"}
    ways = _impaired(up, others), _impaired(down, others)
    if "queue" not in figures:
        return ways
    rated = any(way.rate is not None for way in ways)
    queue = {"queue": figures["queue"]}  # where neither has a rate, both refuse it
    first, second = (_impaired(way, queue) if way.rate is not None or not rated else way for way in ways)
    return first, second


def read(axis: str, text: str) -> Any:
    """The value of one axis from its text, as the axis has it. Raises ConfigError, which names the axis."""
    try:
        return _FIGURES[axis](text)
    except ConfigError as error:
        raise error if axis in str(error) else ConfigError(f"{axis}: {error}") from None


def _impaired(before: Impairment, changes: Mapping[str, str]) -> Impairment:
    values = {name: read(name, value) for name, value in changes.items()}
    # One kind of loss takes the other's place, and a queue goes with its rate.
    if values.get("loss") and "burst" not in values:
        values["burst"] = None
    if values.get("burst") and "loss" not in values:
        values["loss"] = 0.0
    if "rate" in values and values["rate"] is None and "queue" not in values:
        values["queue"] = None
    return replace(before, **values)


def describe(impairment: Impairment) -> str:
    """The words that make this impairment: "delay=10ms loss=5%"; "" for a clean one."""
    words = []
    if impairment.delay:
        words.append(f"delay={print_time(impairment.delay)}")
    if impairment.jitter:
        words.append(f"jitter={print_time(impairment.jitter)}")
    if impairment.loss:
        words.append(f"loss={print_share(impairment.loss)}")
    if burst := impairment.burst:
        shares = (burst.p, burst.r, burst.loss_bad, burst.loss_good)
        words.append(f"burst={','.join(print_share(share) for share in shares)}")
    if impairment.rate is not None:
        words.append(f"rate={print_rate(impairment.rate)}")
    if queue := impairment.queue:
        words.append(f"queue={queue.bytes}" if queue.bytes is not None else f"queue={print_time(queue.seconds or 0)}")
    if impairment.mtu != FULL_MTU:
        words.append(f"mtu={impairment.mtu}")
    if impairment.blackhole:
        words.append("blackhole=yes")
    return " ".join(words)


def told(link: Link) -> dict[str, Any]:
    """A link as status shows it: {"up", "down", "toward": {other site: ...}}, words as above."""
    toward = {other: describe(there) for other, there in link.toward.items()}
    return {"up": describe(link.up), "down": describe(link.down), "toward": toward}


def heard(words: str) -> Impairment:
    """What `describe` has written. Raises ConfigError."""
    try:
        return _impaired(CLEAN, dict(word.split("=", 1) for word in words.split()))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"expected words like 'delay=10ms loss=5%', got {words!r} ({error!r})") from None


def write(links: Iterable[Entry]) -> str:
    """The text that `entries` reads as these links."""
    return "; ".join(" ".join(_words(entry)) for entry in links)


def _words(entry: Entry) -> Iterator[str]:
    link = entry.link
    yield entry.site
    yield ",".join(map(str, entry.addresses))
    ways = {"up": link.up, "down": link.down, **{f"toward.{site}": there for site, there in link.toward.items()}}
    for way, impairment in ways.items():
        yield from (f"{way}.{word}" for word in describe(impairment).split())


def _burst(text: str) -> Burst | None:
    if text == NOTHING:
        return None
    shares = [parse_share(part) for part in text.split(",")]
    if not 2 <= len(shares) <= 4:
        raise ConfigError(f"expected burst=p,r[,1-h[,1-k]] like 1%,25%, got {text!r}")
    return Burst(*shares)


def _rate(text: str) -> int | None:
    return None if text == NOTHING else parse_rate(text)


def _queue(text: str) -> Queue | None:
    if text == NOTHING:
        return None
    if text.strip().lower().endswith("s"):
        return Queue(seconds=parse_time(text))
    return Queue(bytes=parse_size(text))


def _mtu(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:  # Python refuses thousands of digits with an error of its own
        raise ConfigError(f"expected an mtu in bytes like 1492, got {text!r}")
    return int(text)


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ConfigError(f"expected blackhole=yes or blackhole=no, got {text!r}")
    return text == "yes"


_FIGURES: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "delay": parse_time,
        "jitter": parse_time,
        "loss": parse_share,
        "burst": _burst,
        "rate": _rate,
        "queue": _queue,
        "mtu": _mtu,
        "blackhole": _yes_or_no,
    }
)
AXES = tuple(_FIGURES)
OF_A_LINE = ("mtu", "blackhole")
"""Those that hold for every packet of a line: no site can be named toward which they do."""
DIRECTIONS = tuple(Direction)
