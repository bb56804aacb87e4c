"""The lab as one object: every command of the CLI is one method here, and so is every step of a test.

Belongs here: finding what the steps need. Never: the steps themselves; each has a file of its own.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

from lab.certify.certificate import Certification
from lab.errors import ConfigError, LabError, NotNow, RuntimeUnavailable
from lab.evidence.filed import Filed
from lab.evidence.ladder import Ladder
from lab.evidence.passages import Passage
from lab.harness import (
    bringing,
    calling,
    capturing,
    certifying,
    changing,
    doctor,
    dropping,
    explaining,
    guests,
    kept,
    live,
    reporting,
    roaming,
    standing,
    status,
    touring,
)
from lab.harness import mappings as tables
from lab.harness import matrix as matrices
from lab.harness.call_report import CallReport
from lab.harness.changing import SiteChange
from lab.harness.checkout import Checkout
from lab.harness.events import CallEvent
from lab.harness.passing import NO_LINE, Losing
from lab.harness.settling import SETTLE_SECONDS, find_out, settle
from lab.harness.subnetting import FIRST_LAB
from lab.harness.timeline import Json, Timeline
from lab.harness.watching import announce
from lab.runtime import lifecycle, terminal
from lab.runtime.connection import Engine, connect
from lab.runtime.lifecycle import Removed
from lab.runtime.logs import Log
from lab.runtime.readiness import wait_until_ready
from lab.runtime.world import Container, World, discover
from lab.topology.model import Topology

Say = Callable[[str], None]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What Compose takes as a project's name."""


def _silent(text: str) -> None:
    pass


class Lab:
    """One lab of one checkout. `root` is found from the current folder, `name` is `lab`, unless told (or LAB_NAME is).

    Methods raise ConfigError for a wrong request and RuntimeUnavailable where the world is not there.
    """

    def __init__(self, root: Path | None = None, name: str | None = None) -> None:
        self.checkout = Checkout(root) if root else Checkout.find()
        self.name = name or os.environ.get("LAB_NAME") or FIRST_LAB
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"expected a lab's name of at most 32 lower-case letters, digits, - and _ that begins with a letter or "
                f"digit, got {self.name!r}"
            )
        self.timeline = Timeline(self.checkout.state, self.name)

    @cached_property
    def engine(self) -> Engine:
        """The connection to the engine, made when it is first needed."""
        return connect()

    def up(self, topology: Path | None = None, say: Say = _silent) -> bringing.Up:
        """Bring the topology up (compose/reference.yml unless told) and return when every node is ready."""
        file = self.checkout.topology(topology)
        with self.timeline.event("up", topology=file.name) as stamp:
            up = bringing.bring_up(self.checkout, self.name, file, self.timeline, say)
            stamp |= {} if up.seed is None else {"seed": up.seed}
            stamp |= {"line_seeds": dict(up.line_seeds)} if up.line_seeds else {}
            return up

    def file_that_runs(self) -> Path | None:
        """The topology that was brought up, None where none runs."""
        try:
            world = self.world()
        except RuntimeUnavailable:  # no engine yet, and so no lab
            return None
        return world.file if world and world.file and world.file.is_file() else None

    def down(self) -> Removed:
        """Take the lab down and leave nothing behind; a lab that is not up is no error."""
        with self.checkout.alone(), self.timeline.event("down"):
            return lifecycle.take_down(self.engine, self.name)

    def world(self) -> World | None:
        """What runs now, or None."""
        return discover(self.engine, self.name)

    def running_world(self) -> World:
        """What runs now; NotNow where nothing does."""
        world = self.world()
        if world is None:
            which, told = ("the lab", "") if self.name == FIRST_LAB else (f"the lab {self.name}", f" --lab {self.name}")
            raise NotNow(f"{which} is not up; `lab{told} up` starts it")
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
        holds: Sequence[tuple[float, float]] = (),
        keys: bool = False,
        follow: Callable[[CallEvent], None] = lambda event: None,
    ) -> CallReport:
        """Place a call, and report what the clients say of it and what the packets say. `follow` hears it happen.

        `holds`: from when to when it is on hold, seconds since the answer; `seconds` of talk are had beside them.

        `keys`: keep those of its TLS connections, which takes a lab that was started with LAB_KEYLOG=1 (NotNow else).

        An interrupt (KeyboardInterrupt) hangs up on both sides and ends the captures before it goes on as Interrupted.
        """
        request = calling.request(caller, callee, seconds, ring_ms, holds, keys)
        return calling.call(self.engine, self.checkout, self.running_world(), request, follow)

    def matrix(
        self,
        sites: Sequence[str] = (),
        *,
        seconds: float = 1,
        ring_ms: int = 500,
        at_once: int | None = None,
        follow: matrices.Follow = lambda progress: None,
    ) -> matrices.Matrix:
        """Call every pair of these sites (all, unless told) in both directions, and judge each call by its packets.

        One client a site; where a site has two, these call each other as well. `at_once` calls at the same time, by
        default two a core. `follow` hears each cell as it ends.
        """
        world = self.running_world()
        most = matrices.at_once() if at_once is None else at_once
        return matrices.run(self.engine, self.checkout, world, sites, seconds, ring_ms, most, follow)

    def calls(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        seconds: float = 1,
        ring_ms: int = 500,
        at_once: int | None = None,
        follow: matrices.Follow = lambda progress: None,
    ) -> matrices.Matrix:
        """Place these calls, (caller, callee) each, as often as they are named, and judge each like one of a matrix.

        Several at the same time, as there; no client is in two of them at once.
        """
        world = self.running_world()
        most = matrices.at_once() if at_once is None else at_once
        return matrices.play(self.engine, self.checkout, world, pairs, seconds, ring_ms, most, follow)

    def explain(self, call: str) -> explaining.Explanation:
        """Why a call that is over took its path, from what is kept of it; ConfigError where nothing is."""
        return explaining.explain(self.checkout, call)

    def may_tour(self) -> Topology:
        """The topology, where this is the reference lab as its file says; ConfigError where it is not."""
        return touring.ready(self.engine, self.running_world())

    def trace(self, call: str) -> list[Passage]:
        """Every packet of a call that is over, and what became of each; ConfigError where nothing is kept of it."""
        return kept.kept(self.checkout, call).passages

    def capture(
        self,
        nodes: Sequence[str] = (),
        *,
        call: tuple[str, str] | None = None,
        expression: str = "",
        told: bool = True,
        pipe: Callable[[bytes], None] | None = None,
        file: Path | None = None,
    ) -> capturing.Capturing:
        """Capture at these nodes until it is closed; where a call between two passes, else all routers, core, relays.

        `expression`: a filter in tcpdump's words. `told`: whether rows are wanted. `pipe` and `file` take a pcapng that
        grows; what `write` makes of the file in the end is in order, and tells the call.
        """
        world = self.running_world()
        if call is not None:
            calling.clients_run(world, calling.request(*call, seconds=3, ring_ms=500))
        seeing = capturing.chosen(world, nodes, call or ())
        watched = capturing.Watched(seeing, expression.strip(), told, pipe, file)
        state, changes = self.checkout.state, self.timeline.file
        rules, mapped = dropping.asking(self.engine, world), tables.remembering(self.engine, world)
        return capturing.Capturing(self.engine, world, watched, state, self._stands, changes, rules, mapped)

    def _stands(self) -> tuple[Topology, Losing]:
        """The topology as it is at this moment, as it was started where a router does not say; which lines lose."""
        world = self.running_world()
        try:
            said = standing.routers(self.engine, world)
        except LabError:
            return world.topology, NO_LINE
        live = standing.live(world.topology, said)
        return live, standing.losing(live, said)

    def kept_call(self, call: str) -> kept.Kept:
        """What is kept of a call that is over; ConfigError where nothing is."""
        return kept.kept(self.checkout, call)

    def one_file(self, call: str, target: Path) -> int:
        """Write all that was captured of a call that is over as one pcapng; returns how many packets it holds."""
        return kept.one_file(kept.kept(self.checkout, call), target)

    def keys(self, call: str) -> str:
        """The key log of a call's TLS connections; empty where it was placed without keys."""
        return kept.kept(self.checkout, call).keys

    def ladder(self, call: str) -> Ladder:
        """Who sent what to whom in a call that is over; ConfigError where nothing is kept of it."""
        return kept.kept(self.checkout, call).ladder()

    def certify(
        self,
        sites: Sequence[str] = (),
        say: Say = _silent,
        follow: Callable[[certifying.Progress], None] = lambda progress: None,
    ) -> Certification:
        """Measure what the networks of these sites (all, unless told) do, and hold it against what they claim.

        `say` hears what has to be made first, `follow` each site as it begins and ends.
        """
        found = certifying.certify(self.engine, self.checkout, self.running_world(), sites, say, follow)
        reporting.keep(self.checkout, self.name, found)
        return found

    def kept(self) -> reporting.Reported:
        """What is kept of this lab for somebody to look at: its last matrix and certification, calls, topology.

        Raises ConfigError where nothing is kept and no lab runs.
        """

        def now() -> Topology | None:
            world = self.world()
            return world.topology if world else None

        return reporting.reported(self.checkout, self.name, now)

    def mappings(self, site: str) -> tables.SiteMappings:
        """What a site's router remembers of its hosts now."""
        with closing(tables.watch(self.engine, self.running_world(), site)) as moments:
            return next(moments)

    def watch_mappings(self, site: str) -> Iterator[tables.SiteMappings]:
        """The same whenever it is asked for the next, over one connection to the router."""
        return tables.watch(self.engine, self.running_world(), site)

    # -- events at run time: each returns when it has taken effect, and is stamped on the timeline, unless there was
    # -- no lab to do anything to ------------------------------------------------------------------------------------

    def set(self, site: str, change: SiteChange) -> Json:
        """Change a site's profile, firewall or link; returns what its router and core say stands now."""
        world = self.running_world()
        with self.timeline.event("set", site=site, **change.told()) as stamp:
            said = changing.set_site(self.engine, world, site, change)
            stamp |= {"line_seeds": said["line_seeds"]} if "line_seeds" in said else {}
            return said

    def forget(self, site: str) -> None:
        """Let a site's router lose all its mappings."""
        world = self.running_world()
        with self.timeline.event("forget", site=site):
            changing.forget(self.engine, world, site)

    def renew(self, site: str, address: str | None = None) -> tuple[str, str]:
        """Give a site another outer address (None: the next that is free); returns the former and the new one."""
        world = self.running_world()
        with self.timeline.event("renew", site=site) as stamp:
            before, after = changing.renew(self.engine, world, site, address)
            stamp |= {"before": before, "after": after}
            return before, after

    def unplug(self, node: str) -> bool:
        """Pull a node's cables; False where they were out already."""
        world = self.running_world()
        with self.timeline.event("unplug", node=node):
            return roaming.unplug(self.engine, world, node)

    def plug(self, node: str) -> bool:
        """Put a node's cables back; False where they were in."""
        world = self.running_world()
        with self.timeline.event("plug", node=node):
            return roaming.plug(self.engine, world, node)

    def move(self, client: str, site: str) -> tuple[str, str]:
        """Take a client to the LAN of another site; returns the sites left and entered."""
        world = self.running_world()
        with self.timeline.event("move", node=client, site=site) as stamp:
            roaming.may_move(world.topology, client, site)
            announce(self.checkout.state / "calls", client, site)
            left, entered = roaming.move(self.engine, world, client, site)
            stamp |= {"left": left}
            return left, entered

    def metrics(self, node: str) -> str:
        """A node's counters in Prometheus' text format. Raises LabError where there is no such node, or it does not
        run."""
        return str(standing.order(self.engine, self.running_world(), node, "metrics")["text"])

    def stop(self, node: str) -> bool:
        """Ask a node to end (SIGTERM) and return when it has; False where it was stopped already."""
        container = self._container(node)
        with self.timeline.event("stop", node=node):
            if container.running:
                lifecycle.stop(self.engine, container)
            return container.running

    def kill(self, node: str) -> bool:
        """Stop a node at once, without a goodbye; False where it was stopped already."""
        container = self._container(node)
        with self.timeline.event("kill", node=node):
            if container.running:
                lifecycle.kill(self.engine, container)
            return container.running

    def start(self, node: str, say: Say = _silent) -> bool:
        """Start a stopped node and return when it is ready; False where it runs already."""
        container = self._container(node)
        with self.timeline.event("start", node=node):
            if not container.running:
                lifecycle.start(self.engine, container)
                wait_until_ready(self.engine, [container], say)
            return not container.running

    def restart(self, node: str, say: Say = _silent) -> None:
        """Kill a node if it runs, start it, and return when it is ready; a router keeps its settings and addresses.

        Raises NotNow where its cables are out: the engine would put them in.
        """
        container = self._container(node)
        with self.timeline.event("restart", node=node):
            if node in self.timeline.unplugged():
                raise NotNow(f"the cables of {node} are out, and a start puts them in; `lab plug {node}` first")
            if container.running:
                lifecycle.kill(self.engine, container)
            lifecycle.start(self.engine, container)
            wait_until_ready(self.engine, [container], say)

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Return when every client that runs sits at a supernode that runs."""
        settle(self.engine, self.running_world(), seconds)

    def find_out(self) -> None:
        """Return when no client is about to know more of its network, or after 20 s."""
        world = self.running_world()
        clients = [node.name for node in world.topology.clients() if world.containers[node.name].running]
        find_out(self.engine, world, clients)

    def logs(self, node: str, follow: bool = False, since: float | None = None) -> Iterator[str]:
        """The lines that a node has printed (since then, epoch seconds); with `follow` also those to come."""
        container = self._container(node)
        return (text for text, _ in Log(self.engine, container.id, since=since, follow=follow))

    def shell(self, node: str, command: Sequence[str] = ()) -> int:
        """A shell inside a running node on this terminal, or one command instead of it; its exit status."""
        return terminal.interactive(self.engine, self.running_world().running(node).id, command or ["bash"])

    def run(self, site: str, command: Sequence[str], image: str | None = None, say: Say = _silent) -> int:
        """Run any command behind a site's router, as a host of its LAN, on this terminal; its exit status.

        In a container of the lab's own image, or of `image`, without a capability, which is gone afterwards. `say`
        hears which address it has.
        """
        return guests.run(self.engine, self.running_world(), site, image, command, say)

    def watch_between(self, one: str, two: str, seconds: float = 5) -> Filed:
        """The path of whatever flows between two sites in the next seconds, by packets alone."""
        return live.verdict(self.engine, self.running_world(), (one, two), seconds)

    def doctor(self, begin: Say = _silent) -> doctor.Diagnosis:
        """Check what this machine needs to run the lab."""
        return doctor.diagnose(self.checkout, self.name, begin)

    def _container(self, node: str) -> Container:
        world = self.running_world()
        return world.containers[world.topology.node(node).name]
