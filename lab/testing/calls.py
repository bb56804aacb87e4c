"""The fixture `call`: calls that a test places, each with its path as a word, and with its story when the test fails.

Belongs here: what a test may ask of a call. Never: pytest, or how a story looks.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lab.errors import LabError
from lab.harness import CallReport, Lab
from lab.report.story import facts, story
from lab.testing.evidence import Kept
from lab.testing.taken import CONTESTED, NO_PATH, Taken
from lab.topology.model import Topology


class PlacedCall:
    """A call that is over: all that its report holds, with `path` as a word.

    `report` is that report, in which `path` is what the clients say and `observed` what the packets do.
    """

    def __init__(self, report: CallReport, topology: Topology | None) -> None:
        self.report = report
        self._topology = topology

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        __tracebackhide__ = True
        return getattr(self.report, name)

    def __repr__(self) -> str:
        return repr(self.report)

    @property
    def path(self) -> Taken:
        """What the packets show, where clients and packets agree and nothing went wrong."""
        report = self.report
        if report.holds() and report.observed:
            return Taken(f"{report.observed.kind}/{report.observed.transport}", self._facts)
        return Taken(CONTESTED if report.connected and report.error is None else NO_PATH, self._facts)

    def _facts(self, expected: str) -> Sequence[str]:
        return facts(self.report, self._topology)

    def story(self) -> str:
        """All that is known of it, for a person."""
        return story(self.report, self._topology)


class Calls:
    """Called, it places a call; its own path and report are those of the last one."""

    def __init__(self, lab: Lab, kept: Kept, record: Callable[[str, object], None]) -> None:
        self._lab, self._kept, self._record = lab, kept, record
        self.placed: list[PlacedCall] = []
        self._told = 0

    def __call__(
        self,
        caller: str,
        callee: str,
        *,
        seconds: float = 3,
        ring_ms: int = 500,
        holds: Sequence[tuple[float, float]] = (),
    ) -> PlacedCall:
        """As `lab.call` does it, and its path stands in the JUnit XML. Raises LabError where it cannot be placed."""
        report = self._lab.call(caller, callee, seconds=seconds, ring_ms=ring_ms, holds=holds)
        placed = PlacedCall(report, self._topology())
        self.placed.append(placed)
        self._record(f"path of {caller} to {callee}", str(placed.path))
        return placed

    def __repr__(self) -> str:
        return repr(self.placed[-1]) if self.placed else "<no call yet>"

    @property
    def last(self) -> PlacedCall:
        """The last call; raises LookupError before there was any."""
        __tracebackhide__ = True
        if not self.placed:
            raise LookupError('no call has been placed yet; call("bob", "frank") places one')
        return self.placed[-1]

    @property
    def path(self) -> Taken:
        """The path of the last call."""
        __tracebackhide__ = True
        return self.last.path

    @property
    def report(self) -> CallReport:
        """The report of the last call."""
        __tracebackhide__ = True
        return self.last.report

    def keep(self) -> list[tuple[str, str]]:
        """Keep the evidence of each call for a test that has failed; a heading and a story for each."""
        told = []
        fresh, self._told = self.placed[self._told :], len(self.placed)  # it may fail once more when all is taken down
        for placed in fresh:
            report = placed.report
            there = self._kept.keep(report.evidence)
            self._record(f"evidence of {report.caller} to {report.callee}", str(there))
            told.append((f"call {report.call}, {report.caller} to {report.callee}", f"{placed.story()}\nkept: {there}"))
        return told

    def _topology(self) -> Topology | None:
        """For the picture of a path; a story has none where the lab is gone by now."""
        try:
            return self._lab.running_world().topology
        except LabError:
            return None
