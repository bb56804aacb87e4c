"""When a client's telephone hangs up by itself: the time is over, and so is the search for a better path."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import ConfigError
from lab.media.source import VoiceSource
from lab.media.srtp import MediaKeys
from lab.media.timing import FRAME_SECONDS
from lab.media.voice import VoiceSession
from lab.node.conversing import Conversing, Stretch
from lab.node.journal import Journal
from lab.node.phone import LAST_STRETCH, OVERTIME, Phone
from lab.node.store import Visited
from lab.overlay.call_events import Answered, Ended, Heard, Held, Moved
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


def test_a_planned_hold_is_ordered_in_time_and_no_frame_goes_out_while_it_lasts() -> None:
    ordered: list[tuple[str, bool, int]] = []
    sent: list[bytes] = []
    held, resumed = asyncio.Event(), asyncio.Event()
    answered: list[float] = []

    def hold(id: str, on: bool, now: float) -> None:
        ordered.append((id, on, len(sent)))
        made.on_event(Held(id, on))
        (held if on else resumed).set()

    client: Any = SimpleNamespace(calls={}, hold=hold, send=lambda id, data: sent.append(data))
    made = Phone(client, Journal("bob"), lambda event: None)
    made.shell = SimpleNamespace(settle=lambda: None)  # type: ignore[assignment]
    call = made.calls["c1.x"] = Conversing("c1.x", "c1", caller=True, frames=500)
    here: Any = None

    async def talk() -> None:
        made.order({"order": "hold", "call": "c1", "from_s": 0.1, "to_s": 0.3}, here)
        answered.append(time.time())
        made.on_event(Answered("c1.x", bytes(30), bytes(30)))
        made.on_event(Moved("c1.x", PUNCHED))
        await asyncio.wait_for(held.wait(), 2)
        made.on_event(Moved("c1.x", RELAYED))
        await asyncio.wait_for(resumed.wait(), 2)
        while len(sent) == ordered[-1][2]:
            await asyncio.sleep(0.005)
        made.on_event(Ended("c1.x", None, True))

    asyncio.run(talk())
    (*first, before), (*second, after) = ordered
    assert (first, second) == (["c1.x", True], ["c1.x", False])
    assert before == after >= 3, "it spoke on hold"
    assert [(one.path, one.end is None) for one in call.stretches] == [(PUNCHED, False), (RELAYED, False)]
    (on_hold,) = call.holds
    assert on_hold.end is not None
    assert on_hold.begin >= answered[0] + 0.09 and on_hold.end >= answered[0] + 0.29, (
        "neither is early; a machine is late"
    )
    assert call.voice is not None and call.voice.figures().sent == len(sent)


@pytest.mark.parametrize("early", [True, False])
def test_a_packet_speaks_for_its_path_once_and_only_if_it_is_the_peers(early: bool) -> None:
    vouched: list[Heard] = []
    client: Any = SimpleNamespace(calls={}, voice=lambda packet, now: vouched.append(packet))
    made = Phone(client, Journal("bob"), lambda event: None)
    call = made.calls["c1.x"] = Conversing("c1.x", "c1", caller=True)
    media = MediaKeys(bytes(30), bytes(range(30)))
    peer = VoiceSession(media.swapped(), VoiceSource.recording("speech-b"), ssrc=7)
    peer.start_sending(0.0, 0.0)
    first, second = peer.next_packet(0.02, 0.02), peer.next_packet(0.02, 0.02)
    assert first is not None and second is not None
    forged, replayed = second[:-1] + bytes([second[-1] ^ 1]), first
    came = [Heard("c1.x", data, ("udp", number)) for number, data in enumerate((first, forged, replayed, second))]

    async def talk() -> None:
        answered = Answered("c1.x", media.send, media.receive)
        for event in (*came, answered) if early else (answered, *came):
            made.on_event(event)
        for timer in (call.timer, call.alarm):
            assert timer is not None
            timer.cancel()

    asyncio.run(talk())
    assert vouched == [came[0], came[3]]


@pytest.mark.parametrize(("begin", "end"), [(-1, 3), (3, 2), ("1", 3), (1, None)])
def test_a_hold_that_makes_no_sense_is_refused(begin: object, end: object) -> None:
    made, _ = phone(finished=True)
    here: Any = None
    with pytest.raises(ConfigError, match="expected a number"):
        made.order({"order": "hold", "call": "c1", "from_s": begin, "to_s": end}, here)


def test_a_client_is_told_of_the_proxy_of_the_network_that_it_comes_to() -> None:
    made, _ = phone(finished=True)
    own = Whereabouts(("192.168.59.10",))
    made.client.membership = SimpleNamespace(own=own)  # type: ignore[assignment]
    made.shell = SimpleNamespace(proxy=None)  # type: ignore[assignment]
    here: Any = None
    visits: list[Visited] = []
    made.visit = visits.append
    url, networks = "http://192.168.59.5:3128", ["192.168.59.0/24", "2001:db8:59::/64"]
    made.order({"order": "proxy", "url": url, "networks": networks}, here)
    assert visits == [Visited(tuple(networks), url)]
    assert own.proxied("203.0.113.11") and made.shell.proxy.url == "http://192.168.59.5:3128"
    made.order({"order": "proxy", "url": None}, here)
    assert not own.proxied("203.0.113.11") and made.shell.proxy is None
    with pytest.raises(ConfigError, match="HTTP proxies"):
        made.order({"order": "proxy", "url": "socks5://192.168.59.5:1080"}, here)
    with pytest.raises(ConfigError, match="expected http"):
        made.order({"order": "proxy", "url": 7}, here)
    for wrong in ("192.168.59.0/24", ["home"], [7]):
        with pytest.raises(ConfigError, match="expected a list of prefixes"):
            made.order({"order": "proxy", "url": None, "networks": wrong}, here)
