"""The lab as one object: every command of the CLI is one method here, and so is every step of a test.

Belongs here: finding what the steps need. Never: the steps themselves; each has a file of its own.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from lab.certify.certificate import Certification
from lab.errors import RuntimeUnavailable
from lab.harness import bringing, calling, certifying, doctor, status
from lab.harness.call_report import CallReport
from lab.harness.checkout import Checkout
from lab.harness.events import CallEvent
from lab.harness.settling import SETTLE_SECONDS, settle
from lab.runtime import lifecycle, terminal
from lab.runtime.connection import Engine, connect
from lab.runtime.lifecycle import Removed
from lab.runtime.logs import Log
from lab.runtime.readiness import wait_until_ready
from lab.runtime.world import Container, World, discover

Say = Callable[[str], None]


def _silent(text: str) -> None:
    pass


class Lab:
    """One lab of one checkout. `root` is found from the current folder, `name` is `lab`, unless told (or LAB_NAME is).

    Methods raise ConfigError for a wrong request and RuntimeUnavailable where the world is not there.
    """

    def __init__(self, root: Path | None = None, name: str | None = None) -> None:
        self.checkout = Checkout(root) if root else Checkout.find()
        self.name = name or os.environ.get("LAB_NAME") or "lab"

    @cached_property
    def engine(self) -> Engine:
        """The connection to the engine, made when it is first needed."""
        return connect()

    def up(self, topology: Path | None = None, say: Say = _silent) -> bringing.Up:
        """Bring the topology up (compose/reference.yml unless told) and return when every node is ready."""
        return bringing.bring_up(self.checkout, self.name, self.checkout.topology(topology), say)

    def down(self) -> Removed:
        """Take the lab down and leave nothing behind; a lab that is not up is no error."""
        with self.checkout.alone():
            return lifecycle.take_down(self.engine, self.name)

    def world(self) -> World | None:
        """What runs now, or None."""
        return discover(self.engine, self.name)

    def running_world(self) -> World:
        """What runs now; RuntimeUnavailable where nothing does."""
        world = self.world()
        if world is None:
            raise RuntimeUnavailable("the lab is not up; `lab up` starts it")
        return world

    def status(self) -> status.LabStatus:
        """What every node says of itself."""
        return status.ask(self.engine, self.running_world())

    def call(
        self,
        caller: str,
        callee: str,
        *,
        seconds: float = 3,
        ring_ms: int = 500,
        follow: Callable[[CallEvent], None] = lambda event: None,
    ) -> CallReport:
        """Place a call, and report what the clients say of it and what the packets say. `follow` hears it happen.

        An interrupt (KeyboardInterrupt) hangs up on both sides and ends the captures before it goes on.
        """
        request = calling.request(caller, callee, seconds, ring_ms)
        return calling.call(self.engine, self.checkout, self.running_world(), request, follow)

    def certify(
        self,
        sites: Sequence[str] = (),
        say: Say = _silent,
        follow: Callable[[certifying.Progress], None] = lambda progress: None,
    ) -> Certification:
        """Measure what the networks of these sites (all, unless told) do, and hold it against what they claim.

        `say` hears what has to be made first, `follow` each site as it begins and ends.
        """
        return certifying.certify(self.engine, self.checkout, self.running_world(), sites, say, follow)

    def kill(self, node: str) -> bool:
        """Stop a node at once, without a goodbye; False where it was stopped already."""
        container = self._container(node)
        if not container.running:
            return False
        lifecycle.kill(self.engine, container)
        return True

    def start(self, node: str, say: Say = _silent) -> bool:
        """Start a stopped node and return when it is ready; False where it runs already."""
        container = self._container(node)
        if container.running:
            return False
        lifecycle.start(self.engine, container)
        wait_until_ready(self.engine, [container], say)
        return True

    def restart(self, node: str, say: Say = _silent) -> None:
        """Kill a node if it runs, start it, and return when it is ready."""
        self.kill(node)
        self.start(node, say)

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Return when every client that runs sits at a supernode that runs."""
        settle(self.engine, self.running_world(), seconds)

    def logs(self, node: str, follow: bool = False, since: float | None = None) -> Iterator[str]:
        """The lines that a node has printed (since then, epoch seconds); with `follow` also those to come."""
        container = self._container(node)
        return (text for text, _ in Log(self.engine, container.id, since=since, follow=follow))

    def shell(self, node: str) -> int:
        """A shell inside a running node on this terminal; its exit status."""
        return terminal.interactive(self.engine, self.running_world().running(node).id, ["bash"])

    def doctor(self, begin: Say = _silent) -> doctor.Diagnosis:
        """Check what this machine needs to run the lab."""
        return doctor.diagnose(self.checkout, self.name, begin)

    def _container(self, node: str) -> Container:
        world = self.running_world()
        return world.containers[world.topology.node(node).name]
