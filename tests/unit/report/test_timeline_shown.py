"""The timeline fits 80 columns and reads as sentences."""

from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from lab.report.timeline import timeline

AT = datetime(2026, 11, 24, 18, 30, 5, 123000).timestamp()


def shown(*events: dict[str, Any]) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(timeline([{"at": AT, "lab": "lab", "took_ms": 12, **event} for event in events]))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"event": "up", "took_ms": 24352}, "24.4 s  up"),
        ({"event": "kill", "node": "bob"}, "12 ms  kill bob"),
        ({"event": "move", "node": "bob", "site": "office", "left": "home"}, "12 ms  move bob  from home to office"),
        ({"event": "renew", "site": "home", "before": "a", "after": "b"}, "12 ms  renew home  a to b"),
        (
            {"event": "set", "site": "home", "profile": "linux", "link": {"loss": "5%", "delay": "9ms"},
             "direction": "up"},
            "12 ms  set home  profile linux, loss 5%, delay 9ms up",
        ),
        (
            {"event": "set", "site": "home", "link": {"delay": "9ms"}, "direction": "both", "toward": "park"},
            "12 ms  set home  delay 9ms toward park",
        ),
        (
            {"event": "up", "seed": 7, "line_seeds": {"carrier-1-router": 8}},
            "12 ms  up  seed 7, seed of carrier-1-router's lines 8",
        ),
        ({"event": "start", "node": "bob", "error": "it fell"}, "12 ms  start bob  failed: it fell"),
    ],
)  # fmt: skip
def test_an_event_is_a_sentence(event: dict[str, Any], told: str) -> None:
    assert shown(event) == ["2026-11-24", f"18:30:05.123  {told}"]


def test_a_day_stands_once_above_its_events() -> None:
    lines = shown({"event": "up"}, {"event": "down"}, {"event": "up", "at": AT + 86400})
    assert [line for line in lines if line.startswith("2026")] == ["2026-11-24", "2026-11-25"]


def test_what_is_long_goes_on_below_itself_and_nothing_is_cut() -> None:
    axes = "udp-timeout=20 hairpinning=yes tcp-filtering=address-dependent ports=40000-49999 pooling=arbitrary"
    lines = shown({"event": "set", "site": "port-restricted-cone-1", "profile": "port-restricted-cone", "axes": axes})
    assert max(map(len, lines)) <= 80
    assert all(word in " ".join(lines) for word in axes.split())
    assert {line[: len("18:30:05.123  12 ms  ")].strip() for line in lines[2:]} == {""}
