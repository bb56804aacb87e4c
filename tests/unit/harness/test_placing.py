"""One call as it is placed: what is asked of routers before it is dialled, and after its last word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.errors import RuntimeUnavailable
from lab.harness import dropping, placing
from lab.harness.placing import Placed, Request
from lab.topology import parse

TOPOLOGY = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})


class Fake:
    """Stands for all that a call needs, and keeps what was done in which order."""

    topology = TOPOLOGY

    def __init__(self, done: list[str], folder: Path) -> None:
        self.done = done

    def running(self, name: str) -> "Fake":
        return self

    id = "of a container"

    def barrier(self) -> None:
        self.done.append("barrier")

    def close(self) -> list[Any]:
        return []

    def listen(self, caller: object) -> None:
        self.done.append("last word")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    done: list[str] = []
    fake = Fake(done, tmp_path)
    for name in ("ControlChannel", "Witnesses", "Watch", "Listener"):
        monkeypatch.setattr(placing, name, lambda *told: fake)
    for name in ("signed_in", "engage", "release"):
        monkeypatch.setattr(placing, name, lambda *told: None)
    monkeypatch.setattr(placing, "converse", lambda *told: done.append("dialled"))
    return done


def placed(
    ask: Callable[[str], dict[str, int]], done: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Placed:
    monkeypatch.setattr(dropping, "asking", lambda engine, world: ask)
    made, world = Placed("c1", Request("bob", "frank"), 1.0), Fake(done, folder)
    placing.place(None, world, made.request, "c1", folder, lambda event: None, made)  # type: ignore[arg-type]
    return made


def test_what_rules_have_dropped_is_read_before_it_is_dialled_and_after_its_last_word(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(router: str) -> dict[str, int]:
        if router == "flat-router":
            raise RuntimeUnavailable("flat-router is stopped")
        done.append(router)
        return {"INPUT's policy": done.count(router) * 5, "FORWARD's policy": 2}

    made = placed(ask, done, tmp_path, monkeypatch)
    assert done == ["home-router", "barrier", "dialled", "last word", "barrier", "home-router"]
    assert made.dropped == {"home-router": {"INPUT's policy": 5}} and made.trouble is None
