"""Whether this machine can run the lab: each thing checked, with how to mend it.

Belongs here: the list of checks and what they mean. Never: mending; a check changes nothing that it leaves behind.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.harness import subnetting
from lab.harness.checkout import Checkout
from lab.runtime.connection import Engine, connect
from lab.runtime.engine import compose_command
from lab.runtime.features import ROUTER_IMAGE, try_features
from lab.runtime.inventory import inventory
from lab.runtime.subnets import subnets_in_use
from lab.topology import conflicts, parse

OLDEST_ENGINE = (20, 10)
NEEDED_DISK = 3 * 1024**3
"""Bytes: three images, a lab's writable layers, fifty calls' captures."""
BRIDGE_NF = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


@dataclass(frozen=True)
class Check:
    """One check. `ok` None: it could not be tried, and `seen` says why."""

    name: str
    ok: bool | None
    required: bool
    seen: str
    mend: str


@dataclass(frozen=True)
class Diagnosis:
    """All checks in the order in which they were made."""

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing that is required is wrong."""
        return all(check.ok is not False or not check.required for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The document of `lab doctor --json`."""
        return {"healthy": self.healthy, "checks": [asdict(check) for check in self.checks]}


def diagnose(checkout: Checkout, name: str, begin: Callable[[str], None]) -> Diagnosis:
    """Make every check; `begin` is told what is being looked at."""
    return Diagnosis(tuple(_checks(checkout, name, begin)))


def _checks(checkout: Checkout, name: str, begin: Callable[[str], None]) -> Iterator[Check]:
    begin("Docker Engine")
    try:
        engine = connect()
        found = inventory(engine)
    except LabError as error:
        yield Check("Docker Engine", False, True, str(error), "")
        return
    yield _engine(found.version)
    yield _compose()
    begin("subnets")
    yield _subnets(engine, checkout, name)
    yield Check("ports are free", True, True, "none is needed: the lab opens no port of this machine", "")
    yield _bridge()
    yield _disk(found.storage)
    begin("kernel features")
    if found.router_image:
        yield from _kernel(engine)
    else:
        seen = f"the image {ROUTER_IMAGE} is not built yet"
        yield Check("kernel features", None, True, seen, "`lab up` builds it; then ask again")


def _engine(version: str) -> Check:
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdecimal())
    return Check("Docker Engine", numbers >= OLDEST_ENGINE, True, version, "install Docker Engine 20.10 or newer")


def _compose() -> Check:
    try:
        return Check("Compose", True, True, " ".join(compose_command()), "")
    except LabError as error:
        return Check("Compose", False, True, str(error), "install docker-compose, or the Compose plugin of Docker")


def _subnets(engine: Engine, checkout: Checkout, name: str) -> Check:
    try:
        used = subnets_in_use(engine, name)
        file = checkout.topology(None)
        topology = parse(file, {**os.environ, **subnetting.variables(checkout.state, name, file, used)})
    except LabError as error:
        return Check("subnets are free", False, True, str(error), "mend the topology")
    clashes = conflicts(topology, used)
    if not clashes:
        return Check("subnets are free", True, True, f"{len(topology.networks)} networks fit", "")
    return Check("subnets are free", False, True, "; ".join(clashes), "remove what uses them, or change the file")


def _bridge() -> Check:
    try:
        seen = f"bridge-nf-call-iptables = {BRIDGE_NF.read_text().strip()}"
    except OSError:
        seen = "br_netfilter is not loaded"
    return Check("bridges", True, False, f"{seen}; the lab works with either", "")


def _disk(storage: Path) -> Check:
    local = os.environ.get("DOCKER_HOST", "unix:").startswith("unix:")
    try:
        free = shutil.disk_usage(storage if local else Path.cwd()).free
    except OSError:  # the engine's folder is of another root, or not for this user's eyes
        free = shutil.disk_usage(Path.cwd()).free
    seen = f"{free / 1024**3:.1f} GiB free"
    mend = "free 3 GiB; `docker system df` shows what Docker holds"
    return Check("disk space", free >= NEEDED_DISK, True, seen, mend)


def _kernel(engine: Engine) -> Iterator[Check]:
    try:
        for tried in try_features(engine):
            told = tried.said if tried.feature.tells or not tried.works else ""
            said = told or ("works" if tried.works else "does not work")
            yield Check(tried.feature.name, tried.works, tried.feature.required, said, tried.feature.mend)
    except LabError as error:
        yield Check("kernel features", False, True, str(error), "see the engine's log")
