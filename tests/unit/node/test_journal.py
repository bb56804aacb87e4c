"""A node's log: one JSON line an event, no secret in it."""

import json
from dataclasses import dataclass

import pytest

from lab.node.journal import Journal, kebab
from lab.overlay.actions import Event
from lab.overlay.call_events import Answered, Moved
from lab.overlay.paths import Kind, PathName, Transport


@dataclass(frozen=True)
class SomethingOdd(Event):
    what: object


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_event_is_one_line_with_time_node_and_name(capsys: pytest.CaptureFixture[str]) -> None:
    Journal("bob").record(Moved("c7.aa", PathName(Kind.RELAYED, Transport.UDP, "relay-1")))
    (line,) = lines(capsys)
    assert line.pop("at") > 0  # type: ignore[operator]
    path = {"kind": "relayed", "transport": "udp", "via": "relay-1"}
    assert line == {"node": "bob", "event": "moved", "call": "c7.aa", "path": path}


def test_keys_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    Journal("bob").record(Answered("c7.aa", b"k" * 30, b"r" * 30))
    (line,) = lines(capsys)
    assert set(line) == {"at", "node", "event", "call"}


def test_what_json_cannot_say_is_said_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Journal("bob").record(SomethingOdd({1, 2}))
    assert lines(capsys)[0]["what"] == "{1, 2}"


def test_names_in_kebab_case() -> None:
    assert [kebab(name) for name in ("SignedIn", "Ready", "BindRefused")] == ["signed-in", "ready", "bind-refused"]
