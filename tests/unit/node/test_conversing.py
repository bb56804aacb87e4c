"""What a telephone keeps of a call: stretches of paths, and between them the times on hold."""

from lab.node.conversing import Conversing
from lab.overlay.paths import Kind, PathName, Transport

RELAYED = PathName(Kind.RELAYED, Transport.UDP, "relay-1")
PUNCHED = PathName(Kind.PUNCHED, Transport.UDP)


def spans(call: Conversing) -> list[tuple[str, float, float | None]]:
    return [(str(one.path), one.begin, one.end) for one in call.stretches]


def test_a_hold_ends_a_stretch_and_the_same_path_begins_another_after_it() -> None:
    call = Conversing("c1.x", "c1", caller=True)
    call.move(RELAYED, 1.0)
    call.move(PUNCHED, 2.0)
    call.hold(5.0)
    assert call.on_hold
    call.resume(65.0)
    call.close(68.0)
    assert not call.on_hold
    assert spans(call) == [(str(RELAYED), 1.0, 2.0), (str(PUNCHED), 2.0, 5.0), (str(PUNCHED), 65.0, 68.0)]
    assert [one.to_json() for one in call.holds] == [{"from": 5.0, "to": 65.0}]


def test_a_path_that_changes_on_hold_is_no_stretch_until_voice_goes_out_on_it() -> None:
    call = Conversing("c1.x", "c1", caller=True)
    call.move(PUNCHED, 2.0)
    call.hold(5.0)
    call.move(None, 6.0)
    call.move(RELAYED, 7.0)
    call.resume(9.0)
    assert spans(call) == [(str(PUNCHED), 2.0, 5.0), (str(RELAYED), 9.0, None)]


def test_a_call_that_lost_its_path_on_hold_goes_on_when_there_is_one() -> None:
    call = Conversing("c1.x", "c1", caller=True)
    call.move(PUNCHED, 2.0)
    call.hold(5.0)
    call.move(None, 6.0)
    call.resume(9.0)
    call.move(RELAYED, 11.0)
    assert spans(call) == [(str(PUNCHED), 2.0, 5.0), (str(RELAYED), 11.0, None)]


def test_a_call_that_ends_on_hold_ends_the_hold() -> None:
    call = Conversing("c1.x", "c1", caller=True)
    call.move(PUNCHED, 2.0)
    call.hold(5.0)
    call.close(8.0)
    assert [(one.begin, one.end) for one in call.holds] == [(5.0, 8.0)] and spans(call)[-1][2] == 5.0
