"""Park and home of the reference lab alone, as a lab of another name beside it.

Belongs here: having it. Never: what is expected of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from typed import ROOT, cli

from lab.harness import Lab

SECOND = "second"
KEPT = {"core", "authority", "supernode-1", "relay-1", "park-router", "alice", "home-router", "bob"}
NETWORKS = {"internet", "park", "home"}


@contextmanager
def second_lab(folder: Path, **environment: str) -> Iterator[Lab]:
    """It, every node ready, from a file in `folder`; `lab up` has these variables beside its own."""
    world = yaml.safe_load((ROOT / "compose" / "reference.yml").read_text())
    world["services"] = {name: service for name, service in world["services"].items() if name in KEPT}
    world["networks"] = {name: network for name, network in world["networks"].items() if name in NETWORKS}
    links = world["services"]["core"]["environment"]["LAB_LINKS"].split(";")
    world["services"]["core"]["environment"]["LAB_LINKS"] = ";".join(
        link for link in links if link.split()[0] in NETWORKS
    )
    (folder / "small.yml").write_text(yaml.safe_dump(world))
    for beside in ("base.yml", ".env"):
        (folder / beside).write_text((ROOT / "compose" / beside).read_text())
    found = Lab(ROOT, SECOND)
    try:
        done = cli("--lab", SECOND, "up", str(folder / "small.yml"), timeout=120, **environment)
        assert done.returncode == 0, done.stderr
        yield found
    finally:
        found.down()
