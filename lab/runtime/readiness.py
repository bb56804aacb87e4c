"""Waiting until nodes say that they are ready, by the line that each prints for it; no sleeping, no guessing.

Belongs here: what counts as ready. Never: deciding what a node must have done before it says so; it knows best.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from lab.errors import RuntimeUnavailable
from lab.runtime.connection import Engine, still_there
from lab.runtime.logs import Logs, started_at
from lab.runtime.mishaps import engine_errors
from lab.runtime.world import Container

READY_SECONDS = 90.0
EACH_SECONDS = 1.0
"""Longest wait for all of them, and more for each: a client needs a second after its supernode, the rest is for a slow
machine, on which a hundred nodes start as fast as one after the other."""
SAY_EVERY = 1.0
"""Seconds between two words about who is awaited."""


def wait_until_ready(
    engine: Engine,
    containers: Iterable[Container],
    say: Callable[[str], None] = lambda text: None,
    seconds: float | None = None,
) -> None:
    """Return when each container has said that it is ready since it was started; raises RuntimeUnavailable.

    The engine's own name server listens in every container, at ports that it draws: one that has drawn a node's port is
    why that node is started once more.
    """
    waiting, again = list(containers), set[str]()
    if seconds is None:
        seconds = READY_SECONDS + EACH_SECONDS * len(waiting)
    deadline = time.monotonic() + seconds
    while (taken := _wait(engine, waiting, say, seconds, deadline)) is not None:
        container, why = taken
        if container.node in again:
            raise RuntimeUnavailable(f"{container.node} failed to start, twice: {why}")
        again.add(container.node)
        say(f"{container.node} is started again: {why.partition(';')[0]}, by the engine's name server as it seems")
        with engine_errors(f"start {container.node}"):
            engine.api.wait(container.id)
            engine.api.start(container.id)


def _wait(
    engine: Engine, containers: Sequence[Container], say: Callable[[str], None], seconds: float, deadline: float
) -> tuple[Container, str] | None:
    """None when all are ready; or one of them has found its port taken, in its words."""
    last = {container.node: "" for container in containers}
    awaited, total, said_at = set(last), len(last), 0.0
    with Logs(engine, containers, lambda container: started_at(engine, container)) as logs:
        while awaited:
            if time.monotonic() - said_at >= SAY_EVERY:
                said_at = time.monotonic()
                say(f"{total - len(awaited)} of {total} nodes are ready; waiting for {_some(awaited)}")
            said = logs.next(deadline)
            if said is None:
                raise RuntimeUnavailable(
                    f"{_some(awaited)} did not become ready within {seconds:g} s; "
                    f"`lab logs {min(awaited)}` may say why, `lab up` tries again"
                )
            if said.node not in awaited:
                continue
            if said.text is None:
                still_there(engine, "start nodes")  # its end ends every log
                words = last[said.node] or "none"
                raise RuntimeUnavailable(f"{said.node} stopped before it was ready; its last words: {words}")
            last[said.node] = said.text or last[said.node]
            event = said.line.get("event") if said.line else None
            if said.line and event == "failed" and said.line.get("port_taken"):
                return next(one for one in containers if one.node == said.node), str(said.line.get("error", said.text))
            if said.line and event == "failed":
                raise RuntimeUnavailable(f"{said.node} failed to start: {said.line.get('error', said.text)}")
            if event == "ready":
                awaited.discard(said.node)
    return None


def _some(names: Iterable[str], most: int = 4) -> str:
    ordered = sorted(names)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + rest
