"""Waiting until nodes say that they are ready, by the line that each prints for it; no sleeping, no guessing.

Belongs here: following logs. Never: deciding what a node must have done before it says so; it knows best.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from docker import DockerClient

from lab.errors import RuntimeUnavailable
from lab.runtime.mishaps import engine_errors
from lab.runtime.world import Container

READY_SECONDS = 90.0
"""Longest wait for one node; a client needs a second after its supernode, the rest is for a slow machine."""

SAY_EVERY = 1.0
"""Seconds between two words about who is awaited."""

Line = dict[str, Any]


def started_at(client: DockerClient, container: str) -> float:
    """When a container's present run began, epoch seconds."""
    with engine_errors("inspect a container"):
        text = str(client.api.inspect_container(container)["State"]["StartedAt"])
    # nanoseconds are more digits than Python reads; a microsecond early is early enough
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00").timestamp()


def events(
    client: DockerClient, container: str, since: float | None, follow: bool
) -> Iterator[tuple[str, Line | None]]:
    """Each line printed since then (None: all), as text and as the JSON object that it is (or None)."""
    stream = client.api.logs(container, stream=True, follow=follow, since=since)
    buffered = b""
    for chunk in stream:
        *lines, buffered = (buffered + chunk).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()
            yield text, _parsed(text)
    if buffered:
        text = buffered.decode(errors="replace").strip()
        yield text, _parsed(text)


def _parsed(text: str) -> Line | None:
    try:
        said = json.loads(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


class Readiness:
    """Waits for many nodes at once. `say` is told who is still awaited."""

    def __init__(self, client: DockerClient, say: Callable[[str], None] = lambda text: None) -> None:
        self._client = client
        self._say = say
        self._results: queue.Queue[tuple[str, str | None]] = queue.Queue()

    def wait(self, containers: Iterable[Container], seconds: float = READY_SECONDS) -> None:
        """Return when every container has said that it is ready since it was started; raises RuntimeUnavailable."""
        awaited = {container.node for container in containers}
        total = len(awaited)
        for container in containers:
            threading.Thread(
                target=self._follow, args=(container,), name=f"ready {container.node}", daemon=True
            ).start()
        deadline = time.monotonic() + seconds
        said_at = 0.0
        while awaited:
            if time.monotonic() - said_at >= SAY_EVERY:
                said_at = time.monotonic()
                self._say(f"{total - len(awaited)} of {total} nodes are ready; waiting for {_some(awaited)}")
            try:
                node, trouble = self._results.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise RuntimeUnavailable(
                    f"{_some(awaited)} did not become ready within {seconds:g} s; "
                    f"`lab logs {min(awaited)}` may say why, `lab up` tries again"
                ) from None
            if trouble:
                raise RuntimeUnavailable(trouble)
            awaited.discard(node)

    def _follow(self, container: Container) -> None:
        node, last = container.node, ""
        try:
            for text, said in events(self._client, container.id, started_at(self._client, container.id), follow=True):
                last = text or last
                if said and said.get("event") == "ready":
                    self._results.put((node, None))
                    return
                if said and said.get("event") == "failed":
                    why = said.get("reason") or said.get("error") or text
                    self._results.put((node, f"{node} failed to start: {why}"))
                    return
            self._results.put((node, f"{node} stopped before it was ready; its last words: {last or 'none'}"))
        except Exception as error:  # a thread's exception must reach the one who waits
            self._results.put((node, f"the log of {node} could not be followed: {error}"))


def _some(names: Iterable[str], most: int = 4) -> str:
    ordered = sorted(names)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + rest
