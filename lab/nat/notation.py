"""Axes as text: "udp-timeout=20 tcp-filtering=address-dependent", laid over those of a preset.

Pure. Belongs here: names and values of axes as a compose file and a command line write them. Never: which go together.
"""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Table
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from lab.errors import ConfigError
from lab.nat.axes import Allocation, Filtering, Mapping, Pooling, PortRange, Timers, Translation

BEFORE_AN_ANSWER: Table[str, str] = MappingProxyType(
    {"udp_timeout": "udp_timeout_one_way", "tcp_timeout": "tcp_transitory_timeout"}
)
"""Timers, and those of a flow that nobody has answered yet, which are never the longer ones: they come down with them
where they are not named."""
LONGEST_TIMEOUT = 10 * 24 * 3600
"""Seconds; more than the kernel's own longest timer (5 days of an established TCP connection)."""
_LONGEST_NUMBER = 9
"""Digits; Python refuses to read thousands of them, with an error of its own."""

Word = TypeVar("Word", bound=StrEnum)
Axes = TypeVar("Axes", Translation, Timers)


def overridden(translation: Translation | None, text: str) -> Translation | None:
    """The axes with those that `text` names replaced. Raises ConfigError naming the axis or value and those allowed."""
    for name, value in _words(text):
        if translation is not None:
            translation = _AXES[name](translation, name, value)
        elif name not in TIMERS:
            raise ConfigError(f"axis {name}: a router that translates nothing has timers alone: {', '.join(TIMERS)}")
    return translation


def timers(text: str) -> Timers:
    """The timers that `text` names, the others as the kernel has them. Raises ConfigError."""
    found = Timers()
    for name, value in _words(text):
        if name in TIMERS:
            found = _timer(TIMERS[name])(found, name, value)
    return found


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Axes and values; timers before an answer last, so that what is named is never brought down by another."""
    words = list(_read(text))
    return iter(sorted(words, key=lambda word: TIMERS.get(word[0]) in BEFORE_AN_ANSWER.values()))


def _read(text: str) -> Iterator[tuple[str, str]]:
    seen = set[str]()
    for word in text.replace(",", " ").split():
        name, equals, value = word.partition("=")
        if name not in _AXES or not equals:
            raise ConfigError(f"unknown axis {word!r}; allowed, each with =VALUE: {', '.join(_AXES)}")
        if name in seen:
            raise ConfigError(f"axis {name} is given twice; give each axis once")
        seen.add(name)
        yield name, value


def _word(kind: type[Word], name: str, value: str) -> Word:
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(f"axis {name}: unknown value {value!r}; allowed: {', '.join(kind)}") from None


def _of_transport(
    field: str, read: type[StrEnum] | Callable[[str, str], object], *transports: str
) -> Callable[[Translation, str, str], Translation]:
    def put(translation: Translation, name: str, value: str) -> Translation:
        word: Any = _word(read, name, value) if isinstance(read, type) else read(name, value)
        changes: Any = {one: replace(getattr(translation, one), **{field: word}) for one in transports}
        return replace(translation, **changes)

    return put


def _clash_free(translation: Translation, name: str, value: str) -> Translation:
    return replace(translation, clash_free=_yes_or_no(name, value))


def _timer(field: str) -> Callable[[Axes, str, str], Axes]:
    def put(axes: Axes, name: str, value: str) -> Axes:
        changes: Any = {field: _seconds(name, value)}
        if (before := BEFORE_AN_ANSWER.get(field)) is not None:
            changes[before] = min(getattr(axes, before), changes[field])
        return replace(axes, **changes)

    return put


def _number(value: str) -> int:
    """A whole number as people write them; 0 for what is none, or longer than any number here."""
    return int(value) if value.isdecimal() and len(value) <= _LONGEST_NUMBER else 0


def _seconds(name: str, value: str) -> int:
    if not 1 <= (seconds := _number(value)) <= LONGEST_TIMEOUT:
        raise ConfigError(f"axis {name}: expected whole seconds from 1 to {LONGEST_TIMEOUT}, got {value!r}")
    return seconds


def _yes_or_no(name: str, value: str) -> bool:
    if value not in ("yes", "no"):
        raise ConfigError(f"axis {name}: unknown value {value!r}; allowed: yes, no")
    return value == "yes"


def _range(name: str, value: str) -> PortRange:
    first, _, last = value.partition("-")
    if not 1024 <= _number(first) <= _number(last) <= 65535:
        raise ConfigError(f"axis {name}: expected a range of ports within 1024-65535, as 40000-49999, got {value!r}")
    return PortRange(_number(first), _number(last))


def _block(name: str, value: str) -> int | None:
    if value == "all":
        return None
    if not 1 <= (ports := _number(value)) <= 65535:
        raise ConfigError(f"axis {name}: expected a number of ports or all, got {value!r}")
    return ports


TIMERS: Table[str, str] = MappingProxyType(
    {
        name: name.replace("-", "_")
        for name in ("udp-timeout", "udp-timeout-one-way", "tcp-timeout", "tcp-transitory-timeout")
    }
)
"""Axes that every router has, and what they are called in Timers and Translation."""
_OF_TRANSPORT: dict[str, type[StrEnum] | Callable[[str, str], object]] = {
    "mapping": Mapping,
    "filtering": Filtering,
    "allocation": Allocation,
    "hairpinning": _yes_or_no,
    "ports": _range,
    "ports-per-host": _block,
    "pooling": Pooling,
}
"""Axes that UDP and TCP have each, and how their values are read."""
_TRANSPORTS = {"": ("udp", "tcp"), "udp-": ("udp",), "tcp-": ("tcp",)}
"""What stands before such an axis, and whose it is then."""
_AXES: dict[str, Callable[[Translation, str, str], Translation]] = {
    **{
        f"{before}{name}": _of_transport(name.replace("-", "_"), read, *transports)
        for before, transports in _TRANSPORTS.items()
        for name, read in _OF_TRANSPORT.items()
    },
    "clash-free": _clash_free,
    **{name: _timer(field) for name, field in TIMERS.items()},
}
