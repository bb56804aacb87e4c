"""A client's telephone: rings and answers by itself, runs the voice of each call, obeys orders, reports what happens.

Paths and signalling are the overlay's, voice is the media room's; here they meet the clock.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from lab.errors import ConfigError
from lab.media.source import VoiceSource
from lab.media.srtp import MediaKeys
from lab.media.timing import FRAME_SECONDS
from lab.media.voice import VoiceSession
from lab.node import keys
from lab.node.control import Conversation, Order
from lab.node.conversing import Conversing, label_of, path_json
from lab.node.hosting import Hosting
from lab.node.journal import Journal
from lab.node.noting import noted
from lab.node.proxy import HttpProxy
from lab.node.shell import Shell
from lab.node.store import Visited
from lab.overlay.actions import Event
from lab.overlay.call_events import Answered, Closing, Ended, Heard, Held, Moved, Rings
from lab.overlay.client import Client
from lab.overlay.contacts import KeyChanged
from lab.overlay.paths import PathName

RING_MS = 500
"""How long a client rings before it picks up, unless told otherwise."""
EARLY_PACKETS = 100
"""Packets of voice kept that overtake the answer."""
RECORDINGS = ("speech-a", "speech-b")
"""The caller's voice and the callee's."""
PROGRESS_SECONDS = 1.0
LAST_STRETCH = 1.2
"""Seconds for which voice goes on after a move, before this side hangs up: the peer moves as well."""
OVERTIME = 22.0
"""Seconds for which a call talks on until it has found its best path; guessing, the longest search, ends after 20."""


class Phone:
    """The client's program around its machine."""

    def __init__(
        self,
        client: Client,
        journal: Journal,
        otherwise: Callable[[Event], None],
        visit: Callable[[Visited], None] = lambda visited: None,
    ) -> None:
        """`otherwise` gets the machine's events that are no call's; `visit` keeps to which network it is taken."""
        self.client, self.journal, self.otherwise, self.visit = client, journal, otherwise, visit
        for name in RECORDINGS:
            VoiceSource.recording(name)  # read now, so that no answer waits for it
        self.shell: Shell | None = None
        self.calls: dict[str, Conversing] = {}
        self.watchers: dict[str, set[Conversation]] = {}
        self.ring_ms: dict[str, float] = {}
        self.holds: dict[str, list[tuple[float, float]]] = {}
        self.hosting: Hosting | None = None
        self.engaged: tuple[Conversation, str] | None = None

    # -- orders --------------------------------------------------------------------------------------------------

    def order(self, order: Order, conversation: Conversation) -> Order:
        """Carries out one order; raises ConfigError for what makes no sense."""
        match order.get("order"):
            case "status":
                return self._status()
            case "watch":
                self._watch(self._label(order), conversation)
            case "answer":
                self.ring_ms[self._label(order)] = _number(order, "ring_ms", 0, 60_000)
            case "hold":
                self._plan_hold(order)
            case "dial":
                return self._dial(order, conversation)
            case "hangup":
                self._hang_up_label(self._label(order))
            case "engage":
                return {"busy": self._engage(str(order.get("by")), conversation)}
            case "release":
                self._release(conversation)
            case "proxy":
                self._use_proxy(order.get("url"), order.get("networks", []))
            case "carried" if self.hosting is not None:
                return self.hosting.carried(order)
            case "keys":
                return {"keys": keys.of(order.get("randoms")), "voice": keys.of_call(order.get("call"))}
            case "sign-in-anew":
                self.client.sign_in_anew(time.monotonic())
                self._settle()
            case other:
                known = "status, engage, release, watch, answer, hold, dial, hangup, proxy, carried, keys, sign-in-anew"
                raise ConfigError(f"unknown order {other!r}; known: {known}")
        return {}

    def _plan_hold(self, order: Order) -> None:
        """From when to when a call that this end is about to have is on hold, seconds since the answer."""
        begin = _number(order, "from_s", 0, 3600)
        self.holds.setdefault(self._label(order), []).append((begin, _number(order, "to_s", begin, 3600)))

    def _use_proxy(self, url: object, networks: object) -> None:
        """The network that the client is coming to, which has these prefixes, has this proxy, or none."""
        if not isinstance(url, str | None):
            raise ConfigError(f"the proxy is {url!r}, expected http://HOST:PORT, or null for none")
        proxy = HttpProxy.named(url) if url else None
        self.visit(Visited(_prefixes(networks), url))
        self.client.membership.own.proxied = proxy.serves if proxy else lambda host: False
        if self.shell is not None:
            self.shell.proxy = proxy

    def _status(self) -> Order:
        hub_link, hub = self.client.hub, self.client.hub.hub
        return {
            "state": "ready" if hub else "away",
            "supernode": hub,
            "waits_at": hub_link.waits_at,
            "heard_at": round(hub_link.last_heard + time.time() - time.monotonic(), 3) if hub else None,
            "addresses": list(self.client.membership.own.addresses),
            "lets_out": self.client.found(time.monotonic()),
            "finding_out": self.client.discovery.under_way,
            "network": self.client.discovery.to_json(),
            "keepalive_s": self.client.discovery.lifetime.keepalive(),
            "tcp_keepalive_s": self.client.passage.tcp_lifetime.keepalive,
            "port_mapped": self._port_mapped(),
            "calls": [call.label for call in self.calls.values()],
        }

    def _engage(self, by: str, conversation: Conversation) -> str | None:
        """Whoever lets several programs place calls has each client in one at a time: this conversation's until it
        releases it or ends. Returns what the client is busy with instead, None where it is not."""
        if self.calls:
            return f"call {next(iter(self.calls.values())).label}"
        if self.engaged is not None and self.engaged[0] is not conversation:
            return self.engaged[1]
        self.engaged = (conversation, by)
        conversation.closed.append(lambda: self._release(conversation))
        return None

    def _release(self, conversation: Conversation) -> None:
        if self.engaged is not None and self.engaged[0] is conversation:
            self.engaged = None

    def _port_mapped(self) -> str | None:
        """The outer address that the router has given to the socket of the next call."""
        spare = self.client.spare
        outer = spare.mapping.outer if spare is not None else None
        return "{}:{}".format(*outer) if outer is not None else None

    def _dial(self, order: Order, conversation: Conversation) -> Order:
        label, callee = self._label(order), order.get("callee")
        seconds = _number(order, "seconds", 1, 3600)
        if not isinstance(callee, str):
            raise ConfigError("the order to dial names no callee")
        id = f"{label}.{secrets.token_hex(4)}"
        self.calls[id] = Conversing(id, label, caller=True, frames=round(seconds / FRAME_SECONDS))
        self._watch(label, conversation)
        try:
            self.client.dial(id, callee, time.monotonic())
        except ConfigError:
            del self.calls[id]
            raise
        self._tell(label, self.journal.write("dialled", call=label, id=id, callee=callee))
        conversation.closed.append(lambda: self._hang_up_label(label))
        self._settle()
        return {}

    @staticmethod
    def _label(order: Order) -> str:
        label = order.get("call")
        if not isinstance(label, str) or not label:
            raise ConfigError(f"the order {order.get('order')} names no call")
        return label

    def _watch(self, label: str, conversation: Conversation) -> None:
        watchers = self.watchers.setdefault(label, set())
        watchers.add(conversation)
        conversation.closed.append(lambda: self._unwatch(label, conversation))

    def _unwatch(self, label: str, conversation: Conversation) -> None:
        self.watchers.get(label, set()).discard(conversation)
        if not self.watchers.get(label):
            self.watchers.pop(label, None)
            self.ring_ms.pop(label, None)
            self.holds.pop(label, None)

    def _tell(self, label: str, line: dict[str, object]) -> None:
        for conversation in self.watchers.get(label, ()):
            conversation.tell(line)

    # -- what the machine says -----------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        if self.hosting is not None and self.hosting.event(event):
            return
        match event:
            case Heard():
                self._heard(event)
            case Rings(id, peer, incoming):
                self._rings(id, peer, incoming)
            case Answered(id, send, receive):
                self._answered(id, MediaKeys(send, receive))
            case Moved(id, path):
                self._moved(id, path)
            case Held(id, on):
                self._held(id, on)
            case KeyChanged(id, name, before, now):
                if (call := self.calls.get(id)) is not None:
                    self._report(call, "key-changed", contact=name, before=before, now=now)
            case Closing(id, frames):
                self._closing(id, frames)
            case Ended(id, error, connected):
                self._ended(id, error, connected)
            case _:
                self._note(event)

    def _note(self, event: Event) -> None:
        """What the telephone does not act on is a line of the call's log, or no call's."""
        line = noted(event)
        if line is None:
            self.otherwise(event)
            return
        id, name, fields = line
        label = label_of(id)  # the callee's first candidates are told before it rings
        self._tell(label, self.journal.write(name, call=label, id=id, **fields))

    def _rings(self, id: str, peer: str, incoming: bool) -> None:
        if incoming:
            self.calls[id] = Conversing(id, label_of(id), caller=False)
            wait = self.ring_ms.get(label_of(id), RING_MS) / 1000
            self.calls[id].alarm = self._loop.call_later(wait, self._pick_up, id)
        self._report(self.calls[id], "ringing", peer=peer)

    def _pick_up(self, id: str) -> None:
        self.client.answer(id, time.monotonic())
        self._settle()

    def _answered(self, id: str, media: MediaKeys) -> None:
        call = self.calls[id]
        keys.voice(id, media.send)
        self._report(call, "answered")
        voice = VoiceSource.recording(RECORDINGS[0 if call.caller else 1])
        call.voice = VoiceSession(media, voice, secrets.randbits(32))
        for packet in call.early:
            self._listen(call.voice, packet)
        call.early.clear()
        call.alarm = self._loop.call_later(PROGRESS_SECONDS, self._progress, call)
        for begin, end in self.holds.pop(call.label, ()):
            call.planned.append(self._loop.call_later(begin, self._hold, id, True))
            call.planned.append(self._loop.call_later(end, self._hold, id, False))
        self._arm(call)

    def _hold(self, id: str, on: bool) -> None:
        """The time has come to put the call on hold, or to take it off."""
        self.client.hold(id, on, time.monotonic())
        self._settle()

    def _held(self, id: str, on: bool) -> None:
        call = self.calls[id]
        now, wall = time.monotonic(), time.time()
        if call.hung_up or call.voice is None:
            return
        if on:
            call.hold(wall)
            call.voice.hold()
        else:
            call.resume(wall)
            call.voice.resume(now)
            if call.path is not None:
                call.voice.start_sending(now, wall)
        self._report(call, "on-hold" if on else "off-hold")
        self._arm(call)

    def _moved(self, id: str, path: PathName | None) -> None:
        call = self.calls[id]
        now, wall = time.monotonic(), time.time()
        if call.hung_up:
            return
        call.move(path, wall)
        if path is not None and call.voice is not None and not call.on_hold:
            call.voice.start_sending(now, wall)
        self._report(call, "path", path=path_json(path) or None)
        self._arm(call)

    def _heard(self, packet: Heard) -> None:
        call = self.calls.get(packet.call)
        if call is None:
            return
        if call.voice is not None:
            self._listen(call.voice, packet)
            self._arm(call)
        elif len(call.early) < EARLY_PACKETS:
            call.early.append(packet)

    def _listen(self, voice: VoiceSession, packet: Heard) -> None:
        """What its protection shows to be the peer's is played, and speaks for the path that it came by."""
        now = time.monotonic()
        if voice.receive(packet.data, now, time.time()):
            self.client.voice(packet, now)

    def _closing(self, id: str, frames: int | None) -> None:
        """Somebody hung up: stop speaking, take leave with the count of what was said, hear out the rest."""
        call, now = self.calls[id], time.monotonic()
        self._silence(call)
        if call.voice is not None:
            call.voice.finish_receiving(now, frames)
            self._arm(call)
        self.client.hang_up(id, now, self._said(call))

    def _ended(self, id: str, error: str | None, connected: bool) -> None:
        call = self.calls.pop(id)
        self._silence(call)
        for timer in (call.timer, call.alarm, *call.planned):
            if timer is not None:
                timer.cancel()
        last = call.stretches[-1].path if call.stretches else None
        self._report(
            call,
            "ended",
            reason=error or "hung up",
            ok=error is None,
            connected=connected,
            path=path_json(last) or None,
            history=[stretch.to_json() for stretch in call.stretches],
            holds=[span.to_json() for span in call.holds],
            media=self._media(call),
        )

    # -- voice ---------------------------------------------------------------------------------------------------

    def _arm(self, call: Conversing) -> None:
        """Sets the alarm for the next frame that is to be sent or played."""
        voice = call.voice
        if voice is None:
            return
        due = min((at for at in (voice.next_send_at, voice.next_play_at) if at is not None), default=None)
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        if due is not None:
            call.timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._tick, call)

    def _tick(self, call: Conversing) -> None:
        voice = call.voice
        assert voice is not None
        call.timer = None
        now, wall = time.monotonic(), time.time()
        while (packet := voice.next_packet(now, wall)) is not None:
            self.client.send(call.id, packet)
            call.sent += 1
            if call.frames is not None and call.sent >= call.frames and self._may_end(call):
                self._hang_up(call)
                break
        while voice.next_play_at is not None and voice.next_play_at <= now:
            voice.play(now, wall)
        if not call.heard_first and (first := voice.figures().first_decoded_at) is not None:
            call.heard_first = True
            self._report(call, "first-media", at=first)
        self._arm(call)
        self._settle()

    def _may_end(self, call: Conversing) -> bool:
        """Whether the path is the call's best, as far as this side can find out."""
        assert call.frames is not None
        live = self.client.calls.get(call.id)
        if live is None or call.sent >= call.frames + OVERTIME / FRAME_SECONDS:
            return True
        moved = len(call.stretches) > 1 and time.time() - call.stretches[-1].begin < LAST_STRETCH
        return not moved and live.checklist.both_finished()

    def _silence(self, call: Conversing) -> None:
        call.hung_up = True
        if call.voice is not None:
            call.voice.stop_sending()
        call.close(time.time())

    def _said(self, call: Conversing) -> int | None:
        return call.sent if call.voice is not None else None

    def _hang_up(self, call: Conversing) -> None:
        self._silence(call)
        self.client.hang_up(call.id, time.monotonic(), self._said(call))

    def _hang_up_label(self, label: str) -> None:
        for call in [call for call in self.calls.values() if call.label == label and not call.hung_up]:
            self._hang_up(call)
        self._settle()

    def _media(self, call: Conversing) -> dict[str, Any]:
        live = self.client.calls.get(call.id)
        if live is not None and live.rtt is not None:
            call.rtt = live.rtt
        return call.media()

    def _progress(self, call: Conversing) -> None:
        path = call.stretches[-1].path if call.stretches else None
        self._report(call, "progress", path=path_json(path) or None, **self._media(call))
        call.alarm = self._loop.call_later(PROGRESS_SECONDS, self._progress, call)

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _settle(self) -> None:
        assert self.shell is not None
        self.shell.settle()

    def _report(self, call: Conversing, event: str, at: float | None = None, **fields: Any) -> None:
        self._tell(call.label, self.journal.write(event, at, call=call.label, id=call.id, **fields))


def _number(order: Order, name: str, least: float, most: float) -> float:
    value = order.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{name} is {value!r}, expected a number from {least} to {most}")
    return float(value)


def _prefixes(given: object) -> tuple[str, ...]:
    try:
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise ValueError(given)
        return tuple(str(ip_network(each)) for each in given)
    except ValueError:
        raise ConfigError(f"networks is {given!r}, expected a list of prefixes like 192.168.32.0/24") from None
