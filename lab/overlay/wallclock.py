"""The wall clock, in which times are signed and judged; it may be stepped, and goes on while the host is suspended.

Pure. Belongs here: how the machines ask for it. Never: reading a clock, which the shell's own does.
"""

from dataclasses import dataclass
from typing import Protocol


class WallClock(Protocol):
    """A host's. Machines are told monotonic seconds alone; what they add to them is asked for anew each time."""

    @property
    def offset(self) -> float:
        """Epoch seconds minus monotonic seconds, as of now."""
        ...


@dataclass
class SetClock:
    """One that goes as evenly as the monotonic clock until somebody sets it."""

    offset: float
