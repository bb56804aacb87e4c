"""Following a call to the last word of both ends: who is waited for, and for how long."""

import queue
from typing import Any

import pytest

from lab.harness import placing
from lab.harness.placing import Placed, Request


class Caller:
    """A control channel that only notes orders; hanging up may bring last words."""

    def __init__(self, said: "queue.SimpleQueue[Any]", last: list[Any]) -> None:
        self.orders: list[str] = []
        self._said, self._last = said, last

    def order(self, order: str, **fields: object) -> dict[str, object]:
        self.orders.append(order)
        for one in self._last:
            self._said.put(one)
        return {"ok": True}


def event(name: str, node: str, **more: object) -> tuple[str, dict[str, object]]:
    return node, {"event": name, "call": "c7", "node": node, "at": 1.0, **more}


def ended(node: str) -> tuple[str, dict[str, object]]:
    return event("ended", node, reason="hangup", ok=True, connected=True, path=None, history=[], media=None)


def listen(*said: Any, on_hangup: list[Any] | None = None) -> tuple[Placed, list[str]]:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for one in said:
        waiting.put(one)
    placed = Placed("c7", Request("bob", "carol", 0, 0), 0.0)
    caller = Caller(waiting, on_hangup or [])
    placing.Listener(waiting, lambda event: None, placed).listen(caller)  # type: ignore[arg-type]
    return placed, caller.orders


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "SETUP_SECONDS", 0.2)
    monkeypatch.setattr(placing, "LAST_WORDS_SECONDS", 0.05)


def test_the_last_word_of_both_ends_it() -> None:
    placed, orders = listen(event("ringing", "carol"), ended("bob"), ended("carol"))
    assert placed.reports.keys() == {"bob", "carol"} and placed.trouble is None and orders == []


def test_a_callee_that_never_heard_of_the_call_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "LAST_WORDS_SECONDS", 60)
    placed, _ = listen(event("dialled", "bob"), ended("bob"))
    assert placed.reports.keys() == {"bob"}


def test_an_end_whose_last_word_is_missing_is_waited_for_only_shortly() -> None:
    placed, orders = listen(event("ringing", "carol"), ended("bob"))
    assert placed.reports.keys() == {"bob"} and orders == []


def test_an_end_that_dies_is_named_and_the_other_heard_out() -> None:
    placed, _ = listen(event("ringing", "carol"), ("carol", None), ended("bob"))
    assert placed.trouble == "carol went silent in the call" and placed.reports.keys() == {"bob"}


def test_a_call_that_does_not_end_is_hung_up() -> None:
    last = [ended("bob"), ended("carol")]
    placed, orders = listen(event("ringing", "carol"), on_hangup=last)
    assert orders == ["hangup"] and placed.trouble and placed.reports.keys() == {"bob", "carol"}


def test_an_interrupt_hangs_up_hears_the_last_words_and_goes_on() -> None:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting.put(event("ringing", "carol"))
    placed = Placed("c7", Request("bob", "carol", 0, 0), 0.0)
    caller = Caller(waiting, [ended("bob"), ended("carol")])

    def interrupt(event: object) -> None:
        if not caller.orders:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        placing.Listener(waiting, interrupt, placed).listen(caller)  # type: ignore[arg-type]
    assert caller.orders == ["hangup"] and placed.reports.keys() == {"bob", "carol"}


def test_events_of_other_calls_are_not_mixed_in() -> None:
    stray = ("bob", {"event": "ended", "call": "c6", "node": "bob", "at": 1.0})
    placed, _ = listen(stray, ended("bob"))
    assert [one.call for one in placed.events] == ["c7"]
