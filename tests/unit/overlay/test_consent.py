"""RFC 7675: voice goes out only where the peer has answered a check of late, under the key that nobody else has."""

import pytest

from lab.overlay.actions import SendTo, Write
from lab.overlay.checks import Checks
from lab.overlay.paths import Path
from lab.wire.rtp import is_rtp
from lab.wire.stun import Kind, StunMessage
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow


EXPIRES = 30.0
"""Seconds after the last answer (RFC 7675, 5.1)."""
PAIRS = [("bob", "frank"), ("carol", "dave"), ("alice", "dave"), ("dave", "erin")]
"""Punched, by a relay over both transports, direct over TCP, by a relay over TCP alone."""


def voice_of(net: FakeNet, name: str) -> list[float]:
    """When this client's voice goes out, from now on."""
    sent: list[float] = []
    do = net._do

    def noted(host: object, action: object) -> None:
        framed = isinstance(action, Write) and action.media and is_rtp(action.data[2:])
        if host is net.hosts[name] and (framed or (isinstance(action, SendTo) and is_rtp(action.data))):
            sent.append(net.now)
        do(host, action)  # type: ignore[arg-type]

    net._do = noted  # type: ignore[method-assign, assignment]
    return sent


@pytest.mark.parametrize("pair", PAIRS)
def test_no_voice_goes_to_who_is_gone(net: FakeNet, pair: tuple[str, str]) -> None:
    id = place(net, *pair)
    talk(net, id, pair, 3)
    sent, gone = voice_of(net, pair[0]), net.now
    net.kill(pair[1])
    talk(net, id, pair[:1], EXPIRES + 2, first=150)
    assert gone < max(sent) < gone + EXPIRES


@pytest.mark.parametrize(
    ("pair", "how"),
    [*((pair, "no answer") for pair in PAIRS), (PAIRS[0], "another key"), (PAIRS[0], "another question")],
)
def test_no_voice_goes_to_who_talks_and_does_not_answer(
    net: FakeNet, pair: tuple[str, str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its voice is its own, and no consent: it may come from a peer that has been told to send it elsewhere."""
    id = place(net, *pair)
    talk(net, id, pair, 3)
    far, answer = net.hosts[pair[1]].machine.calls[id].checklist.checks, Checks.answer

    def other(self: Checks, path: Path, request: StunMessage, word: object) -> bytes:
        if self is not far:
            return answer(self, path, request, word)  # type: ignore[arg-type]
        if how == "no answer":
            return b"\x7f"
        question = bytes(12) if how == "another question" else request.transaction_id
        said = StunMessage(request.method, Kind.SUCCESS, question, xor_mapped=("203.0.113.1", 1))
        assert self.key is not None
        return said.encode(bytes(20) if how == "another key" else self.key)

    monkeypatch.setattr(Checks, "answer", other)
    sent, silenced = voice_of(net, pair[0]), net.now
    talk(net, id, pair, EXPIRES + 2, first=150)
    assert silenced < max(sent) < silenced + EXPIRES


def test_no_voice_goes_to_who_nominates_to_and_fro_and_does_not_answer(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it asks says that it is there, and not that it wants voice."""
    pair = PAIRS[0]
    id = place(net, *pair)
    talk(net, id, pair, 3)
    checklist, answer = net.hosts[pair[0]].machine.calls[id].checklist, Checks.answer

    def silent(self: Checks, path: Path, request: StunMessage, word: object) -> bytes:
        return b"\x7f" if self is checklist.checks else answer(self, path, request, word)  # type: ignore[arg-type]

    monkeypatch.setattr(Checks, "answer", silent)
    sent, silenced = voice_of(net, pair[1]), net.now
    for second in range(round(EXPIRES) + 5):
        (other,) = (path for path in checklist.paths.values() if path is not checklist.selected and path.rtt)
        checklist.choice._nominate(other, net.now)
        talk(net, id, pair, 1, first=150 + 50 * second)
        assert second > 20 or max(sent) > net.now - 0.5, "nominations are signs of life"
    assert silenced < max(sent) < silenced + EXPIRES
