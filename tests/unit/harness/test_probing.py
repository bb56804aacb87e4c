"""Where the probe on the internet stands, and what it is told."""

from pathlib import Path
from typing import Any

import pytest

from lab.certify.bench import ELSEWHERE
from lab.harness import probing
from lab.harness.probing import OpenSide
from lab.runtime.world import World
from lab.topology import parse

REFERENCE = Path(__file__).parents[3] / "compose" / "reference.yml"


def test_somebody_listens_where_proxies_serve_and_where_they_must_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(probing.standing, "routers", lambda *words: {})
    monkeypatch.setattr(probing.probes, "addresses_in_use", lambda *words: set())
    monkeypatch.setattr(probing.probes, "environment", lambda node: {})
    monkeypatch.setattr(
        probing, "Probe", lambda engine, lab, name, place, environment, settings, hear: told.append(settings)
    )
    nothing: Any = None
    outside = OpenSide(nothing, World("lab", parse(REFERENCE), {}, REFERENCE))
    address, port = outside.listener
    assert [one["listen"] for one in told] == [[address, port, ELSEWHERE]]
    assert address not in outside.addresses and port != ELSEWHERE
