"""Waiting for nodes by what they print."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from lab.errors import RuntimeUnavailable
from lab.runtime.logs import Log, started_at
from lab.runtime.readiness import wait_until_ready
from lab.runtime.world import Container


class Api:
    """The part of the SDK that readiness uses: a log for each container."""

    def __init__(self, logs: dict[str, Iterable[bytes]], started: str = "2026-11-23T12:00:00.123456789Z") -> None:
        self._logs, self._started = logs, started
        self.since: list[float | None] = []
        self.starts: list[str] = []
        self.later: dict[str, list[Iterable[bytes]]] = {}
        """What each prints once it is started again, and again."""
        self.gone = False

    @property
    def api(self) -> "Api":
        return self

    def ping(self) -> None:
        if self.gone:
            raise OSError("connection refused")

    def inspect_container(self, container: str) -> dict[str, Any]:
        return {"State": {"StartedAt": self._started}}

    def logs(self, container: str, stream: bool, follow: bool, since: float | None) -> Iterable[bytes]:
        self.since.append(since)
        runs = self.starts.count(container)
        return iter(self.later[container][runs - 1] if runs else self._logs[container])

    def wait(self, container: str) -> None:
        """It has ended."""

    def start(self, container: str) -> None:
        self.starts.append(container)


def line(event: str, **more: str) -> bytes:
    return json.dumps({"at": 1.0, "node": "bob", "event": event, **more}).encode() + b"\n"


def wait(logs: dict[str, Iterable[bytes]], seconds: float = 5) -> list[str]:
    said: list[str] = []
    containers = [Container(name, name, "running") for name in logs]
    wait_until_ready(Api(logs), containers, said.append, seconds)  # type: ignore[arg-type]
    return said


def test_ready_when_every_node_has_said_so() -> None:
    said = wait(
        {"bob": [b"noise\n" + line("ready")[:10], line("ready")[10:]], "carol": [line("started"), line("ready")]}
    )
    assert said[0] == "0 of 2 nodes are ready; waiting for bob, carol"


def test_a_node_that_failed_says_why() -> None:
    with pytest.raises(RuntimeUnavailable, match="bob failed to start: no route"):
        wait({"bob": [line("failed", error="no route")]})


TAKEN = json.dumps({"event": "failed", "error": "TCP port 33033 cannot be opened: in use; stop", "port_taken": True})


@pytest.mark.parametrize("twice", [False, True])
def test_a_node_whose_port_the_engine_has_drawn_is_started_once_more(twice: bool) -> None:
    api = Api({"bob": [TAKEN.encode() + b"\n"], "carol": [line("ready")]})
    api.later["bob"] = [[TAKEN.encode() + b"\n" if twice else line("ready")]]
    said: list[str] = []
    nodes = [Container(name, name, "running") for name in ("bob", "carol")]
    if twice:
        with pytest.raises(RuntimeUnavailable, match="bob failed to start, twice: TCP port 33033"):
            wait_until_ready(api, nodes, said.append)  # type: ignore[arg-type]
    else:
        wait_until_ready(api, nodes, said.append)  # type: ignore[arg-type]
    assert api.starts == ["bob"]
    assert "bob is started again: TCP port 33033 cannot be opened: in use, by the engine's name server" in " ".join(
        said
    )


def test_a_node_that_stopped_leaves_its_last_words() -> None:
    with pytest.raises(RuntimeUnavailable, match=r"bob stopped before it was ready.*out of memory"):
        wait({"bob": [b"out of memory\n"]})


def test_an_engine_that_ends_ends_every_log_and_is_what_is_said() -> None:
    api = Api({"bob": [line("starting")]})
    api.gone = True
    with pytest.raises(RuntimeUnavailable, match=r"the Docker Engine went away.*start nodes"):
        wait_until_ready(api, [Container("bob", "bob", "running")])  # type: ignore[arg-type]


def test_a_node_that_says_nothing_is_named_when_time_is_up() -> None:
    def silence() -> Iterable[bytes]:
        import threading

        threading.Event().wait(2)
        yield b""

    with pytest.raises(RuntimeUnavailable, match=r"bob did not become ready within 0\.05 s"):
        wait({"bob": silence()}, seconds=0.05)


def test_only_the_present_run_counts() -> None:
    api = Api({"bob": [line("ready")]})
    wait_until_ready(api, [Container("bob", "bob", "running")])  # type: ignore[arg-type]
    assert api.since == [pytest.approx(1795435200.123456, abs=1e-6)]


@pytest.mark.parametrize("text", ["2026-11-23T12:00:00Z", "2026-11-23T12:00:00.5Z", "2026-11-23T12:00:00.123456789Z"])
def test_every_length_of_the_engines_fractions_is_read(text: str) -> None:
    assert int(started_at(Api({}, text), "bob")) == 1795435200  # type: ignore[arg-type]


def test_lines_that_are_no_objects_come_as_text() -> None:
    found = list(Log(Api({"bob": [b"[1]\nplain\n{}"]}), "bob"))  # type: ignore[arg-type]
    assert found == [("[1]", None), ("plain", None), ("{}", {})]
