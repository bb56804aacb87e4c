"""The lab of hostile.yml: an honest supernode, a hostile one, three clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.harness import Lab
from tests.hostile.judging import CLIENTS

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def running() -> Iterator[Lab]:
    """Every client signed in where it goes first, whichever was ready first; one that was up already stays up."""
    lab = Lab(HERE.parents[1])
    was_up = lab.world() is not None
    lab.up(HERE / "hostile.yml", say=print)
    at = {node.name: node.supernode for node in lab.status().nodes}
    for client in (client for client, home in CLIENTS.items() if at[client] != home):
        lab.restart(client)
    lab.settle()
    yield lab
    if not was_up:
        lab.down()
