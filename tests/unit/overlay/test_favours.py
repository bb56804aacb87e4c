"""Who dials for another supernode, and whose the answer is."""

import random

from lab.overlay.favours import Favours
from lab.overlay.promoting import MEASURER_LIMIT
from lab.wire.messages import Dial, Dialled, Message, Unwilling

QUESTION = Dial("supernode", "open", bytes(32), ("198.51.100.20",))


class World:
    """The favours of one supernode, what its clients are asked, and what others are told."""

    def __init__(self, *clients: str) -> None:
        self.favours = Favours(random.Random(1))
        self.clients, self.asked, self.told = clients, list[str](), list[tuple[str, Message]]()

    def ask(
        self, supernode: str = "one", question: Dial = QUESTION, able: tuple[str, ...] = (), now: float = 0.0
    ) -> None:
        strangers = {name: lambda message, name=name: self.asked.append(name) for name in self.clients}
        self.favours.ask(supernode, question, lambda word: self.told.append((supernode, word)), strangers, able, now)


def test_the_answer_is_for_who_has_asked_and_no_other() -> None:
    world = World("a")
    world.ask("one")
    assert not world.favours.dialled("b", Dialled("open", True, True)), "it was not asked"
    assert not world.favours.dialled("a", Dialled("other", True, True)), "not that"
    assert world.favours.dialled("a", Dialled("open", True, False))
    assert world.told == [("one", Dialled("open", True, False))]
    assert not world.favours.dialled("a", Dialled("open", True, True)), "once"


def test_one_that_has_reached_others_is_asked_first() -> None:
    world = World("a", "b", "c", "d")
    world.ask(able=("c",))
    assert world.asked == ["c"]


def test_where_nobody_is_or_nobody_may_more_it_is_said_at_once() -> None:
    nobody = World()
    nobody.ask()
    world = World("a")
    for number in range(4):
        world.ask(question=Dial("supernode", f"open-{number}", bytes(32), ("198.51.100.20",)))
    assert len(world.asked) == 3
    for told in (nobody.told, world.told):
        assert [word for _, word in told] == [Unwilling("supernode", "nobody is here who could measure it")]


def test_one_that_reaches_few_others_is_no_witness() -> None:
    world = World("a")
    world.ask()
    assert world.favours.unwilling("a") and not world.favours.unwilling("a")
    assert world.told == [("one", Unwilling("supernode", "its client reaches few others"))]


def test_what_nobody_waits_for_is_forgotten() -> None:
    world = World("a", "b")
    world.ask("one")
    world.ask("two", now=1.0)
    world.favours.gone("one")
    assert len(world.favours.asked) == 1
    world.clients = ()
    world.ask("three", now=1.0 + MEASURER_LIMIT)
    assert not world.favours.asked
