"""What a relay says it has passed on in one call, by the user's name for that."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from lab.node.hosting import relay_carried
from lab.overlay.session import Session


class Kernel:
    """Stands for what forwards for a relay: `waiting` has those whose counts have been asked for."""

    def __init__(self) -> None:
        self.waiting: dict[int, list[Callable[[], None]]] = {}

    def with_counts(self, session: Session, then: Callable[[], None]) -> None:
        if session.number == 1:
            self.waiting.setdefault(session.number, []).append(then)


def test_only_the_call_that_is_named_and_counted_only_when_asked_to_be() -> None:
    kernel, settled = Kernel(), list[int]()
    sessions = [Session("c7.aa", 1, 0.0), Session("c70.bb", 2, 0.0), Session("c7.cc", 3, 0.0)]
    sessions[0].packets, sessions[0].bytes, sessions[2].complete = 5, 500, False
    machine: Any = SimpleNamespace(sessions={one.call: one for one in sessions}, offloading=kernel)
    asked = {"order": "carried", "call": "c7"}
    said = relay_carried(machine, lambda: settled.append(1), asked)["sessions"]
    assert said == [
        {"packets": 5, "bytes": 500, "complete": True, "counting": False},
        {"packets": 0, "bytes": 0, "complete": False, "counting": False},
    ]
    assert not settled
    said = relay_carried(machine, lambda: settled.append(1), {**asked, "count": True})["sessions"]
    assert [one["counting"] for one in said] == [True, False] and settled
    assert len(relay_carried(machine, lambda: None, {**asked, "call": "c7.aa"})["sessions"]) == 1
    assert relay_carried(machine, lambda: None, {"order": "carried"}) == {"sessions": []}
