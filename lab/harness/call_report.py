"""What is known of one call when it is over: frozen shapes, and the JSON document that scripts read.

Belongs here: the shapes. Never: how they are found out, or how they are shown to a person.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.path_names import checked


@dataclass(frozen=True)
class MediaPath:
    """A way that media took. `via` is the relay's name, or None where there was none."""

    kind: str
    transport: str
    via: str | None

    def __str__(self) -> str:
        return f"{self.kind}/{self.transport}" + (f" via {self.via}" if self.via else "")


@dataclass(frozen=True)
class Observed(MediaPath):
    """The path of the last second of media, as the packets tell it, and how many packets of media there were."""

    packets: int


@dataclass(frozen=True)
class Stretch(MediaPath):
    """A part of the call on one path, in ms since the caller dialled; `agrees`: packets and callee say the same."""

    from_ms: int
    to_ms: int
    agrees: bool


@dataclass(frozen=True)
class Hold:
    """A time on hold, in ms since the caller dialled; `agrees`: both ends say so, and neither sent media meanwhile."""

    from_ms: int
    to_ms: int
    agrees: bool


@dataclass(frozen=True)
class KeyChanged:
    """What `node` says of `contact`: it has another public key than when the two last spoke. Both keys in hex."""

    node: str
    contact: str
    before: str
    now: str


@dataclass(frozen=True)
class Witness:
    """One of those who can tell of a call: what it said, in words, and whether all the others bear it out.

    `agrees` None: it cannot know, for a reason that `said` gives. One that ought to and is missing is False.
    """

    name: str
    said: str
    agrees: bool | None


@dataclass(frozen=True)
class SetupTimes:
    """Milliseconds since the caller dialled; the last two are those of the worse end. None: it did not come to that."""

    ringing: int | None
    answered: int | None
    first_media: int | None
    best_path: int | None

    @property
    def first_voice(self) -> int | None:
        """Milliseconds from the callee's answer to the first decoded frame at the worse end; None: there was none."""
        if self.first_media is None or self.answered is None:
            return None
        return max(0, self.first_media - self.answered)


@dataclass(frozen=True)
class Media:
    """One end's voice. `received` counts decoded frames; `mos` is the E-model's short form, 1 to 4.4."""

    sent: int
    received: int
    lost: int
    jitter_ms: float | None
    rtt_ms: float | None
    mouth_to_ear_ms: float | None
    mos: float | None


@dataclass(frozen=True, repr=False)
class CallReport:
    """One call. `path` is what both clients say, `observed` what the packets say; None where it never connected."""

    call: str
    caller: str
    callee: str
    connected: bool
    error: str | None
    path: MediaPath | None
    observed: Observed | None
    agrees: bool
    disagreements: tuple[str, ...]
    """One sentence for each way in which the ends and the packets do not agree."""
    history: tuple[Stretch, ...]
    setup_ms: SetupTimes
    media: Mapping[str, Media]
    dropped_by_captures: Mapping[str, int]
    """Node -> packets that the kernel dropped before the capture there had them."""
    evidence: Path = Path()
    """The folder with the captures, logs and timeline of the call."""
    seed: int | None = None
    """What the links' loss and jitter were drawn from; None where core was not there to say."""
    line_seeds: Mapping[str, int] = field(default_factory=dict)
    """The same of carriers' lines on the way, by the router at which they end."""
    on_hold: tuple[Hold, ...] = ()
    keys_changed: tuple[KeyChanged, ...] = ()
    """Contacts that may be somebody else than before: no failure of the call, and for a person to ask about."""
    witnesses: tuple[Witness, ...] = ()
    """The packets, each client, each relay that carried it, the routers; any that does not agree fails the call."""

    def __str__(self) -> str:
        """One line, as a failed assertion shows it."""
        told = str(self.observed or self.error or "not connected")
        verb = "the packets agree" if self.agrees else "; ".join(self.disagreements) or "the packets do not agree"
        return f"call {self.call} {self.caller} -> {self.callee}: {told}, {verb}; evidence in {self.evidence}"

    def __repr__(self) -> str:
        """The same in the few words that pytest shows of an object."""
        told = f"path {self.path}, observed {self.observed}, {'agrees' if self.agrees else 'does not agree'}"
        folder = self.evidence
        shown = os.path.relpath(folder) if folder.is_absolute() and folder.is_relative_to(Path.cwd()) else str(folder)
        error = f", {self.error}" if self.error else ""
        return f"<call {self.call} {self.caller} -> {self.callee}: {told}{error}, in {shown}>"

    def missed(self, expected: str | None) -> str | None:
        """The sentence for an expected path that was not the one taken; None where it was, or none is expected."""
        if expected is None or self.holds(expected):
            return None
        found = f"{self.observed.kind}/{self.observed.transport}" if self.observed else "no path"
        if found == expected:
            return None  # it is something else that went wrong
        return f"expected {expected}, but the call of {self.caller} to {self.callee} took {found}"

    def holds(self, expected: str | None = None) -> bool:
        """Whether it went well, the packets agree, and they show the expected "kind/transport", if there is one.

        Raises ValueError where that is no path's name.
        """
        __tracebackhide__ = True
        if expected is not None:
            checked(expected)
        if self.error or not (self.connected and self.agrees and self.observed):
            return False
        return expected is None or f"{self.observed.kind}/{self.observed.transport}" == expected

    @classmethod
    def from_json(cls, said: Mapping[str, Any], evidence: Path) -> "CallReport":
        """The report of such a document, one of before holds and keys too; `evidence` is where its folder lies now.

        Raises KeyError, TypeError or ValueError where it is none.
        """
        path, seen = said["path"], said["observed"]
        return cls(
            call=str(said["call"]),
            caller=str(said["caller"]),
            callee=str(said["callee"]),
            connected=bool(said["connected"]),
            error=said["error"],
            path=MediaPath(**path) if path else None,
            observed=Observed(**seen) if seen else None,
            agrees=bool(said["agrees"]),
            disagreements=tuple(said["disagreements"]),
            history=tuple(Stretch(**one) for one in said["history"]),
            setup_ms=SetupTimes(**said["setup_ms"]),
            media={end: Media(**figures) for end, figures in said["media"].items()},
            dropped_by_captures=said["dropped_by_captures"],
            evidence=evidence,
            seed=said.get("seed"),
            line_seeds=said.get("line_seeds", {}),
            on_hold=tuple(Hold(**one) for one in said.get("holds", ())),
            keys_changed=tuple(KeyChanged(**one) for one in said.get("keys_changed", ())),
            witnesses=tuple(Witness(name, **one) for name, one in said.get("witnesses", {}).items()),
        )

    def to_json(self) -> dict[str, Any]:
        """The document of `lab call --json`; the order of its keys is part of how it reads."""
        return {
            "call": self.call,
            "caller": self.caller,
            "callee": self.callee,
            "connected": self.connected,
            "error": self.error,
            "path": asdict(self.path) if self.path else None,
            "observed": asdict(self.observed) if self.observed else None,
            "agrees": self.agrees,
            "disagreements": list(self.disagreements),
            "history": [
                {key: getattr(stretch, key) for key in ("from_ms", "to_ms", "kind", "transport", "via", "agrees")}
                for stretch in self.history
            ],
            "holds": [asdict(hold) for hold in self.on_hold],
            "setup_ms": asdict(self.setup_ms),
            "media": {name: asdict(media) for name, media in self.media.items()},
            "keys_changed": [asdict(changed) for changed in self.keys_changed],
            "witnesses": {one.name: {"said": one.said, "agrees": one.agrees} for one in self.witnesses},
            "dropped_by_captures": dict(self.dropped_by_captures),
            "seed": self.seed,
            "line_seeds": dict(self.line_seeds),
            "evidence": str(self.evidence),
        }
