"""The order of an `up`: what is checked before anything changes, and what has to go first."""

from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ConfigError, Interrupted, RuntimeUnavailable
from lab.harness import Lab, bringing
from lab.harness.checkout import Checkout
from lab.harness.status import LabStatus, NodeStatus
from lab.harness.timeline import Timeline
from lab.runtime.world import Container, World
from lab.topology.model import Attachment, Network, Node, Role, Topology

INTERNET = Network("internet", "internet", None, IPv4Network("203.0.113.0/24"))
CORE = Node("core", Role.CORE, None, None, None, (Attachment("internet", IPv4Interface("203.0.113.1/24")),))
RELAY = Node("relay-1", Role.RELAY, None, None, None, (Attachment("internet", IPv4Interface("203.0.113.21/24")),))
WANTED = Topology((CORE, RELAY), (INTERNET,))


def world(file: Path, topology: Topology = WANTED, state: str = "running") -> World:
    containers = {node.name: Container(node.name, f"id-{node.name}", state) for node in topology.nodes}
    return World("lab", topology, containers, file)


class Engine:
    """What `bring_up` asks and does, in order; `running` is what is found first."""

    def __init__(self, patch: pytest.MonkeyPatch, file: Path) -> None:
        self.done: list[str] = []
        self.said: list[str] = []
        self.running: World | None = None
        self.used: dict[IPv4Network, str] = {}
        self.states: dict[str, str] = {}
        self.awaited: list[str] = []
        self._file = file
        patch.setattr(bringing, "parse", lambda file, environ=None: WANTED)
        patch.setattr(bringing, "ensure_engine", lambda say: self)
        patch.setattr(bringing, "ensure_images", lambda engine, say: self.done.append("images"))
        patch.setattr(bringing, "compose_command", lambda: ["compose"])
        patch.setattr(bringing, "subnets_in_use", lambda engine, name: self.used)
        patch.setattr(bringing, "discover", self._discover)
        patch.setattr(bringing, "settle", lambda engine, world: self.done.append("settled"))
        patch.setattr(bringing.lifecycle, "take_down", lambda engine, name: self.done.append("down"))
        patch.setattr(bringing.lifecycle, "compose_up", lambda *words: self.done.append("up"))
        patch.setattr(bringing, "wait_until_ready", self._wait)
        patch.setattr(bringing, "ask", self._ask)
        patch.setattr(bringing, "plugged_in", lambda *words: self.done.append("plugged in"))
        patch.setattr(bringing, "restore", lambda *words: self.done.append("restored"))
        patch.setattr(bringing, "mtus", lambda *words: None)
        patch.setattr(bringing.standing, "seed", lambda *words: 7)

    def _discover(self, engine: Any, name: str) -> World | None:
        return world(self._file) if "up" in self.done else self.running

    def _ask(self, engine: Any, world: World) -> LabStatus:
        names = [node.name for node in world.topology.nodes]
        told = [NodeStatus(name, "", None, None, None, self.states.get(name, "ready"), None, None) for name in names]
        return LabStatus(tuple(told))

    def _wait(self, engine: Any, containers: list[Container], say: Any) -> None:
        self.done.append("ready")
        self.awaited = [container.node for container in containers]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "reference.yml"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, file: Path) -> Engine:
    return Engine(monkeypatch, file)


def bring_up(engine: Engine, file: Path) -> list[str]:
    timeline = Timeline(file.parent, "lab")
    bringing.bring_up(Checkout(file.parent), "lab", file, timeline, engine.said.append)
    return engine.done


def test_where_nothing_runs_leftovers_are_cleared_and_all_is_started(engine: Engine, file: Path) -> None:
    assert bring_up(engine, file) == ["images", "down", "up", "ready", "settled"]


def test_what_fits_stays(engine: Engine, file: Path) -> None:
    engine.running = world(file)
    assert bring_up(engine, file) == ["images", "up", "plugged in", "ready", "restored", "settled"]


def test_only_those_are_awaited_that_are_new_or_not_ready(engine: Engine, file: Path) -> None:
    engine.running = world(file)
    engine.states = {"relay-1": "starting"}
    bring_up(engine, file)
    assert engine.awaited == ["relay-1"]


def test_a_node_whose_cables_are_out_has_been_ready(engine: Engine, file: Path) -> None:
    engine.running = world(file)
    engine.states = {"relay-1": "unplugged"}
    bring_up(engine, file)
    assert engine.awaited == []


def test_all_new_nodes_are_awaited(engine: Engine, file: Path) -> None:
    bring_up(engine, file)
    assert engine.awaited == ["core", "relay-1"]


def test_a_node_that_was_killed_is_started_again(engine: Engine, file: Path) -> None:
    engine.running = world(file, state="exited")
    assert "down" not in bring_up(engine, file)


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (world(Path("/elsewhere/other.yml")), "taking down /elsewhere/other.yml, which runs here"),
        (world(Path("same"), replace(WANTED, nodes=(CORE,))), "interrupted"),
        (world(Path("same"), state="created"), "interrupted"),
        (world(Path("same"), replace(WANTED, nodes=(CORE, replace(RELAY, name="relay-2")))), "have changed"),
        (
            world(Path("same"), replace(WANTED, networks=(replace(INTERNET, subnet=IPv4Network("192.0.2.0/24")),))),
            "have changed",
        ),
    ],
)
def test_what_does_not_fit_goes_first_and_is_said(engine: Engine, file: Path, running: World, said: str) -> None:
    engine.running = replace(running, file=file) if running.file == Path("same") else running
    assert bring_up(engine, file) == ["images", "down", "up", "ready", "settled"]
    assert any(said in line for line in engine.said), engine.said


def test_a_subnet_that_is_taken_is_refused_before_anything_changes(engine: Engine, file: Path) -> None:
    engine.running = world(file)
    engine.used = {IPv4Network("203.0.113.128/25"): "the host's interface eth0"}
    with pytest.raises(ConfigError, match=r"203\.0\.113\.128/25 is of the host's interface eth0"):
        bring_up(engine, file)
    assert not {"down", "up"} & set(engine.done)


def test_a_file_that_is_wrong_is_refused_before_the_engine_is_asked(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(file: Path) -> Topology:
        raise ConfigError("unknown profile")

    monkeypatch.setattr(bringing, "parse", parse)
    with pytest.raises(ConfigError, match="unknown profile"):
        bring_up(engine, file)
    assert engine.done == []


@pytest.mark.parametrize("there", [True, False])
def test_where_compose_fails_for_want_of_an_engine_that_is_what_is_said(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def fail(*words: object) -> None:
        raise RuntimeUnavailable("Compose could not start")

    def look(engine: object, doing: str) -> None:
        if not there:
            raise RuntimeUnavailable("the Docker Engine went away")

    monkeypatch.setattr(bringing.lifecycle, "compose_up", fail)
    monkeypatch.setattr(bringing, "still_there", look)
    with pytest.raises(RuntimeUnavailable, match="Compose could not start" if there else "Engine went away"):
        bring_up(engine, file)


def test_containers_without_labels_are_no_lab(engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringing, "discover", lambda engine, name: None)
    with pytest.raises(RuntimeUnavailable, match="labels"):
        bring_up(engine, file)


@pytest.mark.parametrize(
    ("running", "last", "said"),
    [(False, "down", "what had been started is gone again"), (True, "restored", "`lab up` goes on from here")],
)
def test_an_interrupt_takes_away_what_was_started_and_nothing_that_ran_before(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch, running: bool, last: str, said: str
) -> None:
    def interrupted(*about: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bringing, "settle", interrupted)
    engine.running = world(file) if running else None
    with pytest.raises(Interrupted, match=said):
        bring_up(engine, file)
    assert engine.done[-1] == last


def test_what_chance_begins_with_stands_on_the_timeline(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "compose").mkdir()
    (file.parent / "compose" / "reference.yml").touch()
    lab = Lab(file.parent)
    lab.up(file.parent / "compose" / "reference.yml")
    (line,) = lab.timeline.read()
    assert (line["event"], line["topology"], line["seed"]) == ("up", "reference.yml", 7)
    assert "line_seeds" not in line, "where there are no carriers"


def test_what_chance_begins_with_on_carriers_lines_stands_there_as_well(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing.standing, "line_seeds", lambda *words: {"home-router": 9})
    (file.parent / "compose").mkdir()
    (file.parent / "compose" / "reference.yml").touch()
    lab = Lab(file.parent)
    lab.up(file.parent / "compose" / "reference.yml")
    (line,) = lab.timeline.read()
    assert line["line_seeds"] == {"home-router": 9}
