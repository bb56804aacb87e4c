"""A supernode's word that it does not reach another is one word: no liar ends a supernode or a relay alone."""

import random

import pytest

from lab.overlay.accusations import ANEW, REMEMBERED, Accusations
from lab.overlay.candidacy import DemotedFrom
from lab.overlay.promoting import RECHECK, Rechecking
from lab.overlay.seat import Unreachable
from lab.wire.messages import Demoted, Dial, Dialled, Message
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_promotion import crowd as busy_crowd
from tests.unit.overlay.test_promotion import promoted as promoted_ones
from tests.unit.overlay.test_relay_promotion import crowd as crowd_without_relay
from tests.unit.overlay.test_relay_promotion import promoted

MESH = ("liar", "honest", "another")


def test_one_is_not_heeded_however_often_it_says_so_and_two_are() -> None:
    against = Accusations()
    assert not any(against.heeds("liar", MESH, 100.0 + second) for second in range(200))
    assert against.heeds("honest", MESH, 301.0)


def test_words_of_two_count_together_only_if_both_are_recent() -> None:
    against = Accusations()
    assert not against.heeds("liar", MESH, 100.0)
    assert not against.heeds("honest", MESH, 100.0 + REMEMBERED)


def test_the_only_other_one_is_heeded_when_it_has_measured_anew() -> None:
    against = Accusations()
    assert not against.heeds("only", ("only",), 100.0)
    assert not against.heeds("only", ("only",), 100.0 + ANEW - 0.1)
    assert against.heeds("only", ("only",), 100.0 + ANEW)


def says(net: FakeNet, liar: int, name: str, word: Demoted) -> None:
    """A supernode says something to a promoted one, by its own link with that."""
    host = net.hosts[f"supernode-{liar}"]
    hub = host.machine
    send = hub.peers[name].send if name in hub.peers else hub.roster.promoted[name].send
    send(word)
    net.settle(host)
    net.run(1)


@pytest.mark.parametrize("needed", [True, False], ids=["out of reach", "needless"])
def test_a_promoted_relay_ends_on_the_word_of_two_supernodes_and_not_of_one(needed: bool) -> None:
    net = crowd_without_relay(opened=4, supernodes=3)
    assert net.run(90, until=lambda: bool(promoted(net)))
    net.run(5)
    (name,) = promoted(net)
    for _ in range(20):
        says(net, 2, name, Demoted("relay", "a lie", needed))
    assert promoted(net) == {name: "relay"}
    says(net, 3, name, Demoted("relay", "no lie", needed))
    assert not promoted(net)
    assert [event.reason for _, event in net.told(name, DemotedFrom)] == ["no lie"]


def test_a_promoted_supernode_ends_on_the_word_of_two_supernodes_and_not_of_one() -> None:
    net = busy_crowd(closed=9, opened=1)
    net.built_in = 1
    assert net.run(90, until=lambda: promoted_ones(net) == ["open-0"])
    net.built_in = 3
    for number in (2, 3):
        net.supernode(number)
    machine = net.hosts["open-0+"].machine
    assert net.run(60, until=lambda: {"supernode-1", "supernode-2", "supernode-3"} <= set(machine.peers))
    for _ in range(20):
        says(net, 2, "open-0", Demoted("supernode", "a lie"))
    assert promoted_ones(net) == ["open-0"]
    says(net, 3, "open-0", Demoted("supernode", "no lie"))
    assert promoted_ones(net) == []


def test_a_built_in_supernode_ends_on_nobodys_word() -> None:
    net = FakeNet()
    net.built_in = 3
    net.authority()
    for number in (1, 2, 3):
        net.supernode(number)
    net.run(10)
    for liar in (2, 3):
        says(net, liar, "supernode-1", Demoted("supernode", "a lie"))
    assert not net.told("supernode-1", Unreachable)
    assert set(net.hosts["supernode-1"].machine.peers) == {"supernode-2", "supernode-3"}


class Looks:
    """One supernode's looks at two that are promoted and a built-in one; it reaches those in `reached`."""

    def __init__(self, *reached: str) -> None:
        self.reached, self.now, self.asked = set(reached), 100.0, list[str]()
        self.promoted = [Dial("supernode", name, b"", (f"198.51.100.{at}",)) for at, name in enumerate(("one", "two"))]
        self.built_in = [Dial("supernode", "built-in", b"", ("203.0.113.11",))]
        self.told: list[str] = []
        self.rechecking = Rechecking(random.Random(3), self.dial, lambda _: {})

    def dial(self, question: Dial, now: float) -> None:
        self.asked.append(question.name)
        if self.rechecking.dialled(question.name, question.name in self.reached, now):
            self.told.append(question.name)

    def go_on(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.rechecking.deadline(True)) is not None and due <= end:
            self.now = max(self.now, due)
            self.rechecking.poll(lambda: self.promoted, self.now, lambda: self.built_in)
        self.now = end


def test_who_reaches_nobody_tells_nobody_that_it_is_out_of_reach() -> None:
    looks = Looks()
    looks.go_on(600)
    assert {"one", "two", "built-in"} <= set(looks.asked) and looks.told == []


def test_who_reaches_others_tells_the_one_that_it_does_not_reach_and_says_so_again() -> None:
    looks = Looks("two", "built-in")
    looks.go_on(20 * RECHECK)
    assert set(looks.told) == {"one"} and len(looks.told) > 3


def test_who_is_not_heeded_asks_strangers_anew_that_it_has_asked_before() -> None:
    asked: list[str] = []

    def stranger(name: str) -> object:
        def send(message: Message) -> None:
            asked.append(name)

        return send

    strangers = {name: stranger(name) for name in ("first", "second", "third")}
    rechecking = Rechecking(random.Random(1), lambda *_: None, lambda _: strangers)  # type: ignore[arg-type,return-value]
    for name in strangers:
        rechecking.can(name)
    question, told, now = Dial("relay", "open", b"", ("198.51.100.1",)), 0, 100.0
    while now < 700.0:
        rechecking.poll(lambda: [question], now)
        measurer = asked.pop() if asked else ""
        if (found := rechecking.says(measurer, Dialled("open", False, False), now)) is not None:
            told += rechecking.dialled(found[0].name, False, now, measurer)
        now += 1.0
    assert told > 3
