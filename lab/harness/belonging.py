"""Whose a call or a matrix is that is kept: of several labs in one checkout, the one that placed it.

What an older version has kept is without a name: its addresses are those of a numbered set, or it is the first lab's.

Belongs here: the name in a folder, written and read. Never: where folders lie (checkout.py), which sets there are.
"""

import json
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from lab.errors import ConfigError
from lab.harness.subnetting import FIRST_LAB, having
from lab.topology.document import from_json

FILE = "lab"
"""In the folder of a call or a matrix: the name of its lab."""


def mark(folder: Path, lab: str) -> None:
    """Keep whose it is."""
    # A full disk is told of by what is kept next.
    with suppress(OSError):
        (folder / FILE).write_text(f"{lab}\n")


def owners(state: Path, folder: Path, topology: str) -> tuple[str, ...]:
    """The labs that it can be of: one, unless it has no name and several have had its addresses.

    `topology`: the file in it that has the topology, or a setting with one.
    """
    with suppress(OSError, UnicodeDecodeError):
        if name := (folder / FILE).read_text().strip():
            return (name,)
    return having(state, _internet(folder / topology)) or (FIRST_LAB,)


def _internet(file: Path) -> list[IPv4Network]:
    try:
        said = json.loads(file.read_text())
        networks = from_json(said.get("topology", said)).networks
    except (OSError, ValueError, AttributeError, ConfigError):
        return []
    return [network.subnet for network in networks if network.kind == "internet"]
