"""Which subnets a lab has: `lab` those that the topology's folder says, every other name a numbered set of its own.

Belongs here: choosing a set that is free, and remembering it. Never: what uses subnets already (lab.runtime.subnets).
"""

import os
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from pathlib import Path

from lab.errors import ConfigError
from lab.topology import conflicts, parse

FIRST_LAB = "lab"
"""The name that a lab has unless told."""
SETS = range(1, 64)
"""Numbers that keep every prefix below apart from each other: 100.64.0.0/10 has 64 of two bytes (RFC 6598)."""
VARIABLE = "LAB_INTERNET"


def numbered(number: int) -> dict[str, str]:
    """The variables of a topology's subnets in the set of that number.

    Public addresses come from 198.18.0.0/15 (RFC 2544), whose hosts no internet has; IPv6 ones from 2001:db8::/32.
    """
    return {
        VARIABLE: f"198.18.{number}",
        "LAB_PUBLIC": f"198.19.{number}",
        "LAB_LANS": f"10.{number}",
        "LAB_CARRIERS": f"100.{64 + number}",
        "LAB_IPV6": f"2001:db8:{number:x}",
        "LAB_ULA": f"fd00:0:{number:x}",
    }


def variables(state: Path, name: str, file: Path, used: Iterable[IPv4Network]) -> dict[str, str]:
    """What to fill in for a lab's subnets: the set that it had last if that is free, else the first that is.

    Nothing for `lab`, for a file without the variables, and where the user's environment has them.
    Raises ConfigError where the file is wrong or no set is free.
    """
    if name == FIRST_LAB or VARIABLE in os.environ or f"${{{VARIABLE}" not in file.read_text():
        return {}
    taken = list(used)
    for number in dict.fromkeys([*_remembered(state, name), *SETS]):
        found = numbered(number)
        if not conflicts(parse(file, {**os.environ, **found}), taken):
            return found
    raise ConfigError(
        f"no free subnets for a lab called {name}: each of {len(SETS)} sets overlaps one in use; take another lab "
        f"down, or set {', '.join(numbered(1))}"
    )


def remember(state: Path, name: str, chosen: Mapping[str, str]) -> None:
    """Keep the set for the lab's next `up`."""
    if chosen:
        state.mkdir(exist_ok=True)
        _memory(state, name).write_text(chosen[VARIABLE].rsplit(".", 1)[1])


def having(state: Path, internet: Iterable[IPv4Network]) -> tuple[str, ...]:
    """The names of labs whose set has one of these networks as its internet; those of no numbered set have none."""
    own = {str(network.network_address).rsplit(".", 1)[0] for network in internet}
    names = sorted(file.name.removeprefix("subnets-") for file in state.glob("subnets-*"))
    return tuple(
        name for name in names if any(numbered(number)[VARIABLE] in own for number in _remembered(state, name))
    )


def _remembered(state: Path, name: str) -> list[int]:
    memory = _memory(state, name)
    text = memory.read_text().strip() if memory.exists() else ""
    return [int(text)] if text.isdecimal() and int(text) in SETS else []


def _memory(state: Path, name: str) -> Path:
    return state / f"subnets-{name}"
