"""A client is in one call at a time, whoever places it: it knows, and says with what it is busy."""

from typing import Any, cast

import pytest

from lab.node.control import Conversation
from lab.node.conversing import Conversing
from lab.node.journal import Journal
from lab.node.phone import Phone


class Talk(Conversation):
    """A conversation that somebody may end."""

    def __init__(self) -> None:
        self.closed = []

    def end(self) -> None:
        for callback in self.closed:
            callback()


@pytest.fixture
def phone() -> Phone:
    return Phone(cast(Any, None), Journal("bob"), lambda event: None)


def engage(phone: Phone, talk: Talk, by: str) -> object:
    return phone.order({"order": "engage", "by": by}, talk)["busy"]


def test_who_comes_second_is_told_with_what_the_client_is_busy(phone: Phone) -> None:
    assert engage(phone, Talk(), "call c1") is None
    assert engage(phone, Talk(), "call c2") == "call c1"


def test_it_is_free_once_it_is_released_or_the_conversation_has_ended(phone: Phone) -> None:
    first, second, third = Talk(), Talk(), Talk()
    engage(phone, first, "call c1")
    phone.order({"order": "release"}, first)
    assert engage(phone, second, "call c2") is None
    second.end()
    assert engage(phone, third, "call c3") is None


def test_only_whoever_has_it_may_release_it(phone: Phone) -> None:
    first, second = Talk(), Talk()
    engage(phone, first, "call c1")
    phone.order({"order": "release"}, second)
    second.end()
    assert engage(phone, second, "call c2") == "call c1"


@pytest.mark.parametrize("caller", [True, False])
def test_a_client_in_a_call_that_nobody_announced_is_busy_with_it(phone: Phone, caller: bool) -> None:
    phone.calls["c9.aa"] = Conversing("c9.aa", "c9", caller=caller)
    assert engage(phone, Talk(), "call c1") == "call c9"
