"""The keys of one call, of its TLS connections and its voice: asked of its two ends, which have them where the lab was
started for that.

A connection can be read from its beginning alone; so the ends sign in anew once they are captured.
Belongs here: asking, and the file in the call's folder. Never: how a node keeps them, or which packets they are for.
"""

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.errors import ConfigError, LabError, NotNow
from lab.evidence import Captures
from lab.evidence.pcap import read
from lab.evidence.secrets import randoms
from lab.harness import record, standing
from lab.runtime.capture import Captured
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World

FILE = "tls-keys.txt"
"""In the folder of a call."""
AT_A_TIME = 500
SIGN_IN_SECONDS = 10.0
LOOK = 0.05


def kept_by(channels: Iterable[ControlChannel]) -> None:
    """Raise NotNow where one of these clients keeps none."""
    for channel in channels:
        try:
            channel.order("keys", randoms=[])
        except ConfigError:
            raise NotNow(
                f"{channel.node} keeps no keys of its TLS connections; start the lab with `LAB_KEYLOG=1 lab up`"
            ) from None


def begin_anew(channels: Sequence[ControlChannel]) -> None:
    """Let these clients sign in anew and return when they have; raises NotNow where one has not in ten seconds."""
    for channel in channels:
        channel.order("sign-in-anew")
    deadline = time.monotonic() + SIGN_IN_SECONDS
    for channel in channels:
        while channel.order("status").get("state") != "ready":
            if time.monotonic() > deadline:
                raise NotNow(f"{channel.node} has not signed in anew within {SIGN_IN_SECONDS:g} s; try again")
            time.sleep(LOOK)


def collect(
    engine: Engine, world: World, call: str, ends: Iterable[str], captured: Iterable[Captured], folder: Path
) -> None:
    """Keep the lines of the connections that began in the captures, and in comments between them the keys with which
    each end sent its voice; what an end cannot say any more is left out."""
    found = []
    for one in captured:
        with contextlib.suppress(LabError):
            found.append(read(one.file, one.node))
    wanted = randoms(Captures(found))
    lines: dict[str, None] = {}
    for name in ends:
        with contextlib.suppress(LabError):
            if said := standing.order(engine, world, name, "keys", randoms=[], call=call).get("voice"):
                lines[f"# SRTP {name} {said}"] = None
        for begin in range(0, len(wanted), AT_A_TIME):
            with contextlib.suppress(LabError):
                told = standing.order(engine, world, name, "keys", randoms=wanted[begin : begin + AT_A_TIME])
                lines |= dict.fromkeys(str(told["keys"]).splitlines())
    record.written(folder / FILE, "".join(f"{line}\n" for line in lines), secret=True)
