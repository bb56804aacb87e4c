"""Values with units: text to numbers and back.

Pure. Belongs here: how a time, a share, a rate and a size are written. Never: which of them a link allows (axes.py).
"""

import re
from decimal import Decimal

from lab.errors import ConfigError

_TIMES = {"us": "0.000001", "ms": "0.001", "s": "1"}
_RATES = {"bit": "1", "kbit": "1000", "mbit": "1000000", "gbit": "1000000000"}  # as tc(8) writes them
_SIZES = {"": "1", "b": "1", "kb": "1024", "mb": "1048576"}  # as tc(8): kb is 1024 bytes
_NUMBER = re.compile(r"([+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15}))([a-z%]*)")
"""No longer than a float is exact for; hundreds of digits are more than any float can hold."""


def parse_time(text: str) -> float:
    """Seconds from "50ms", "1.5s", "200us" or "0". Raises ConfigError."""
    number, unit = _split(text, "a time like 50ms or 1.5s")
    if unit == "" and number == 0:
        return 0.0
    return _scaled(text, number, unit, _TIMES, "a time like 50ms or 1.5s")


def parse_share(text: str) -> float:
    """A share from "5%" or "0.05%": 0.05 for 5 %. Raises ConfigError."""
    number, unit = _split(text, "a share like 5%")
    if unit == "" and number == 0:
        return 0.0
    return _scaled(text, number, unit, {"%": "0.01"}, "a share like 5%")


def parse_rate(text: str) -> int:
    """bit/s from "1mbit" or "512kbit". Raises ConfigError."""
    number, unit = _split(text, "a rate like 1mbit or 512kbit")
    if unit == "" and number == 0:
        return 0
    return round(_scaled(text, number, unit, _RATES, "a rate like 1mbit or 512kbit"))


def parse_size(text: str) -> int:
    """Bytes from "64000", "64000b" or "64kb". Raises ConfigError."""
    number, unit = _split(text, "a size like 64kb")
    return round(_scaled(text, number, unit, _SIZES, "a size like 64kb"))


def print_time(seconds: float) -> str:
    """As short as it goes: 0.05 is "50ms"."""
    return f"{_short(seconds * 1000)}ms" if abs(seconds) < 1 else f"{_short(seconds)}s"


def print_share(share: float) -> str:
    """0.05 is "5%"."""
    return f"{_short(share * 100)}%"


def print_rate(rate: int) -> str:
    """1000000 is "1mbit"."""
    for unit, factor in reversed(_RATES.items()):
        if rate and rate % int(factor) == 0:
            return f"{rate // int(factor)}{unit}"
    return f"{rate}bit"


def _short(number: float) -> str:
    text = f"{number:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _split(text: str, what: str) -> tuple[Decimal, str]:
    found = _NUMBER.fullmatch(text.strip().lower())
    if not found:
        raise ConfigError(f"expected {what}, got {text!r}")
    return Decimal(found[1]), found[2]


def _scaled(text: str, number: Decimal, unit: str, units: dict[str, str], what: str) -> float:
    if unit not in units:
        known = ", ".join(name for name in units if name)
        raise ConfigError(f"expected {what}, got {text!r}; units: {known}")
    return float(number * Decimal(units[unit]))  # decimal until here: 1.1% is the float 0.011
