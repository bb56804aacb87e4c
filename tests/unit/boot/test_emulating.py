"""What is said where the kernel has no queue, and that nothing goes on then. The reader is another program."""

import json
import socket
import sys
from typing import Any

import pytest

from lab.boot import emulating, lines, nfqueue, reader, rules, shaping
from lab.boot.emulating import Emulating
from lab.errors import RuntimeUnavailable
from lab.links import entries
from lab.links.emulator import Network

LINKS = entries("mobile 100.64.63.11 delay=10ms")
NETWORKS: dict[str, tuple[Network, ...]] = {"mobile": ()}
ANSWERS = """
import json, socket, sys
orders = socket.socket(fileno=int(sys.argv[1]))
while orders.recv(1 << 20):
    orders.send(json.dumps({ANSWER}).encode())
"""


def emulated(monkeypatch: pytest.MonkeyPatch, answer: dict[str, str], mend: str) -> Emulating:
    """With a reader that answers everything so."""
    monkeypatch.setattr(emulating, "READER", (sys.executable, "-c", ANSWERS.replace("{ANSWER}", repr(answer))))
    told = list[str]()
    return Emulating(1, lambda event, **more: told.append(event), mend)


@pytest.mark.parametrize(
    ("mend", "told"),
    [
        (
            shaping.MEND,
            "no queue; it has no netem either: modprobe sch_netem ifb, or nfnetlink_queue xt_NFQUEUE, on the ",
        ),
        (
            lines.MEND,
            "no queue; a carrier's lines need one, for netem serves at core alone: modprobe nfnetlink_queue xt_",
        ),
    ],
)
def test_a_kernel_without_a_queue_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, mend: str, told: str
) -> None:
    here = emulated(monkeypatch, {"failed": "no queue"}, mend)
    with pytest.raises(RuntimeUnavailable) as refusal:
        here.apply(LINKS, NETWORKS)
    assert str(refusal.value).startswith(told)
    assert here._reader.wait(10) == 0, "and nothing goes on"


def test_a_kernel_that_takes_no_rules_of_a_queue_is_told_so_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(command: list[str], text: str) -> None:
        raise RuntimeUnavailable(f"{command[0]} refuses the rules: unknown target NFQUEUE")

    monkeypatch.setattr(rules, "feed", feed)
    here = emulated(monkeypatch, {}, "modprobe xt_NFQUEUE")
    with pytest.raises(RuntimeUnavailable, match="refuses the rules: unknown target NFQUEUE; modprobe xt_NFQUEUE"):
        here.apply(LINKS, NETWORKS)
    here.stop()
    assert here._reader.wait(10) == 0


def test_the_reader_says_why_it_has_no_queue_when_it_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(number: int) -> Any:
        raise nfqueue._none("Invalid argument")

    monkeypatch.setattr(reader, "Queue", none)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.send(b"{}")
        reader.main(theirs.detach(), 1)
        assert json.loads(ours.recv(1 << 16)) == {
            "failed": "this kernel gives no netfilter queue, in which links hold packets back (Invalid argument)"
        }
        assert ours.recv(1 << 16) == b"", "it has ended"
