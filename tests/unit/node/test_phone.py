"""When a client's telephone hangs up by itself: the time is over, and so is the search for a better path."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import ConfigError
from lab.media.timing import FRAME_SECONDS
from lab.node.conversing import Conversing, Stretch
from lab.node.phone import LAST_STRETCH, OVERTIME, Phone
from lab.overlay.paths import Kind, PathName, Transport
from lab.overlay.whereabouts import Whereabouts

RELAYED = PathName(Kind.RELAYED, Transport.UDP, "relay-1")
PUNCHED = PathName(Kind.PUNCHED, Transport.UDP)


def phone(finished: bool) -> tuple[Phone, Conversing]:
    """A telephone in a call of a second that has said all it was to say."""
    checklist = SimpleNamespace(both_finished=lambda: finished)
    client: Any = SimpleNamespace(calls={"c1.x": SimpleNamespace(checklist=checklist)})
    journal: Any = None
    call = Conversing("c1.x", "c1", caller=True, frames=50, sent=50)
    call.stretches.append(Stretch(path=RELAYED, begin=time.time() - 10))
    return Phone(client, journal, lambda event: None), call


def test_a_call_ends_in_time_when_both_checklists_are_finished() -> None:
    made, call = phone(finished=True)
    assert made._may_end(call)


def test_a_call_goes_on_while_a_better_path_may_come_and_not_for_ever() -> None:
    made, call = phone(finished=False)
    assert not made._may_end(call)
    call.sent += round(OVERTIME / FRAME_SECONDS)
    assert made._may_end(call)


@pytest.mark.parametrize(("ago", "may_end"), [(0.0, False), (LAST_STRETCH - 0.2, False), (LAST_STRETCH + 0.2, True)])
def test_the_last_path_is_talked_on_for_a_second(ago: float, may_end: bool) -> None:
    made, call = phone(finished=True)
    call.stretches.append(Stretch(path=PUNCHED, begin=time.time() - ago))
    assert made._may_end(call) is may_end


def test_a_client_is_told_of_the_proxy_of_the_network_that_it_comes_to() -> None:
    made, _ = phone(finished=True)
    own = Whereabouts(("192.168.59.10",))
    made.client.membership = SimpleNamespace(own=own)  # type: ignore[assignment]
    made.shell = SimpleNamespace(proxy=None)  # type: ignore[assignment]
    here: Any = None
    made.order({"order": "proxy", "url": "http://192.168.59.5:3128"}, here)
    assert own.proxied("203.0.113.11") and made.shell.proxy.url == "http://192.168.59.5:3128"
    made.order({"order": "proxy", "url": None}, here)
    assert not own.proxied("203.0.113.11") and made.shell.proxy is None
    with pytest.raises(ConfigError, match="HTTP proxies"):
        made.order({"order": "proxy", "url": "socks5://192.168.59.5:1080"}, here)
    with pytest.raises(ConfigError, match="expected http"):
        made.order({"order": "proxy", "url": 7}, here)
