"""Moving to a better path: the caller nominates it, and goes once the callee has agreed (RFC 8445, 7.2.5.3.4)."""

import pytest

from lab.overlay.call_events import Checked, Moved
from lab.overlay.checks import Checks, Word
from lab.overlay.paths import Kind, Path, State
from lab.wire.stun import Kind as StunKind
from lab.wire.stun import StunMessage
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow


def paths(net: FakeNet) -> list[str]:
    """Where the voice of both sides goes."""
    return [str(net.told(name, Moved)[-1][1].path) for name in ("bob", "frank")]


def test_a_path_is_taken_once_the_peer_has_answered_its_nomination(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    dark = deaf = True
    honest = Checks.read

    def read(self: Checks, data: bytes) -> StunMessage | None:
        message = honest(self, data)
        between = message is not None and message.leg is None
        return None if deaf and between and message.use_candidate else message

    monkeypatch.setattr(Checks, "read", read)
    routers = {router.outer for name in ("bob", "frank") for router in net.hosts[name].routers.values()}
    net.lose = lambda source, destination: dark and {source[0], destination[0]} == routers
    place(net, "bob", "frank", ring=0)
    net.run(1)
    assert paths(net) == ["relayed/udp via relay-1"] * 2
    dark, net.delay = False, 0.2  # a round trip of 0.8 s: several checks are under way at any time
    net.run(2.5)
    works = [event.verdict for _, event in net.told("bob", Checked) if event.verdict.state is State.VALID]
    assert "punched/udp" in {verdict.path for verdict in works}
    assert paths(net) == ["relayed/udp via relay-1"] * 2, (
        "checks from before the nomination are answered, and say nothing"
    )
    deaf = False
    net.run(2)
    assert paths(net) == ["punched/udp"] * 2


def test_while_a_path_is_being_nominated_no_other_check_says_that_voice_is_to_go_elsewhere(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer follows the last USE-CANDIDATE that it has heard."""
    dark = deaf = True
    honest, request = Checks.read, Checks.request
    borne: list[Kind] = []

    def read(self: Checks, data: bytes) -> StunMessage | None:
        message = honest(self, data)
        between = message is not None and message.leg is None
        return None if deaf and between and message.use_candidate else message

    def noted(self: Checks, path: Path, nomination: int | None, word: Word, now: float) -> bytes:
        if nomination is not None:
            borne.append(path.name.kind)
        return request(self, path, nomination, word, now)

    monkeypatch.setattr(Checks, "read", read)
    monkeypatch.setattr(Checks, "request", noted)
    routers = {router.outer for name in ("bob", "frank") for router in net.hosts[name].routers.values()}
    net.lose = lambda source, destination: dark and {source[0], destination[0]} == routers
    place(net, "bob", "frank", ring=0)
    net.run(1)
    assert set(borne) == {Kind.RELAYED}
    borne.clear()
    dark = False
    net.run(2.5)  # the relay's checks for consent come every half second
    assert Kind.PUNCHED in borne
    nomination = borne[borne.index(Kind.PUNCHED) :]
    assert len(nomination) > 5 and set(nomination) == {Kind.PUNCHED}
    deaf = False
    net.run(2)
    assert paths(net) == ["punched/udp"] * 2
    assert set(borne[borne.index(Kind.PUNCHED) :]) == {Kind.PUNCHED}


def test_who_hears_the_peer_where_it_has_nominated_goes_there_as_well_without_an_answer(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is full loses words as well as voice."""
    dark, deaf, unanswered = True, True, False
    honest = Checks.read

    def read(self: Checks, data: bytes) -> StunMessage | None:
        message = honest(self, data)
        if message is None or message.leg is not None:
            return message
        lost = (deaf and message.use_candidate) or (unanswered and message.kind is StunKind.SUCCESS)
        return None if lost else message

    monkeypatch.setattr(Checks, "read", read)
    routers = {router.outer for name in ("bob", "frank") for router in net.hosts[name].routers.values()}
    net.lose = lambda source, destination: dark and {source[0], destination[0]} == routers
    id = place(net, "bob", "frank", ring=0)
    net.run(1)
    dark = False
    net.run(2)
    assert paths(net) == ["relayed/udp via relay-1"] * 2
    deaf, unanswered = False, True
    for number in range(25):
        net.hosts["frank"].machine.send(id, b"\x80\x6f" + number.to_bytes(2, "big") + bytes(98))
        net.settle(net.hosts["frank"])
        net.run(0.02)
    assert paths(net) == ["punched/udp"] * 2
    moves = {name: net.told(name, Moved)[-1][0] for name in ("bob", "frank")}
    assert 0 < moves["bob"] - moves["frank"] < 4 * net.delay + 0.03, "with the first frame that comes"


def test_what_was_nominated_first_and_comes_last_changes_nothing(net: FakeNet) -> None:
    """A relay's way is longer: what was said there is overtaken by what was said after it on the straight one."""
    id = place(net, "bob", "frank", ring=0)
    net.run(2)
    assert paths(net) == ["punched/udp"] * 2
    choices = {name: net.hosts[name].machine.calls[id].checklist.choice for name in ("bob", "frank")}
    callers, choice = choices["bob"], choices["frank"]
    assert callers.selected is not None
    last = choice.nominations
    assert last == callers.nomination(callers.selected) > 0
    by_name = {str(path.name): path for path in choice.paths.values() if path.state is State.VALID}
    for number, followed in ((-1, "punched/udp"), (1, "relayed/udp via relay-1"), (0, "relayed/udp via relay-1")):
        choice.follow(by_name["punched/udp" if number == 0 else "relayed/udp via relay-1"], last + number)
        assert [str(path.name) for path in choice.paths.values() if path.nominated] == [followed]
