"""What the kernel answers about flows and tables, as plain rows; messages are as pyroute2 hands them out."""

import errno
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from lab.boot import mappings
from lab.errors import ConfigError
from lab.nat import Wiring

SIDES = Wiring(
    "wan0",
    "lan0",
    IPv4Interface("203.0.113.32/24"),
    IPv4Interface("192.168.32.1/24"),
    lan6=IPv6Interface("2001:db8:32::1/64"),
)
BOB, HOME, FLAT = ("192.168.32.10", 40000), ("203.0.113.32", 41000), ("203.0.113.33", 50000)
UDP, TCP, ICMP = 17, 6, 1
ESTABLISHED = 3


class Message(dict[str, Any]):
    def get_attr(self, name: str) -> Any:
        return self.get(name)


def way(source: tuple[str, int], destination: tuple[str, int], protocol: int, version: int) -> Message:
    ip = Message({f"CTA_IP_V{version}_SRC": source[0], f"CTA_IP_V{version}_DST": destination[0]})
    ports = {"CTA_PROTO_NUM": protocol, "CTA_PROTO_SRC_PORT": source[1], "CTA_PROTO_DST_PORT": destination[1]}
    return Message({"CTA_TUPLE_IP": ip, "CTA_TUPLE_PROTO": Message(ports)})


def tracked(
    there: tuple[tuple[str, int], tuple[str, int]],
    back: tuple[tuple[str, int], tuple[str, int]],
    protocol: int = UDP,
    family: int = 2,
    **more: Any,
) -> Message:
    version = 4 if family == 2 else 6
    ways = {
        "CTA_TUPLE_ORIG": way(*there, protocol, version),
        "CTA_TUPLE_REPLY": way(*back, protocol, version),
    }
    return Message({"nfgen_family": family, **ways, "CTA_STATUS": 0, "CTA_TIMEOUT": 30, **more})


def test_a_flow_that_a_host_has_opened() -> None:
    row = mappings.flow(tracked((BOB, FLAT), (FLAT, HOME)), SIDES)
    assert row == {
        "protocol": "udp", "inner": list(BOB), "outer": list(HOME), "remote": list(FLAT), "opened": "inside",
        "state": "one-way", "seconds": 30, "packets": None,
    }  # fmt: skip


def test_one_that_was_opened_from_outside_has_its_packets_the_other_way_round() -> None:
    counters = {f"CTA_COUNTERS_{way}": Message({"CTA_COUNTERS_PACKETS": n}) for way, n in (("ORIG", 3), ("REPLY", 2))}
    row = mappings.flow(tracked((FLAT, HOME), (BOB, FLAT), CTA_STATUS=2, **counters), SIDES)
    assert row is not None
    assert (row["inner"], row["outer"], row["remote"]) == (list(BOB), list(HOME), list(FLAT))
    assert (row["opened"], row["state"], row["packets"]) == ("outside", "two-way", [2, 3])


def test_the_state_of_a_connection_is_its_name() -> None:
    about = Message({"CTA_PROTOINFO_TCP": Message({"CTA_PROTOINFO_TCP_STATE": ESTABLISHED})})
    row = mappings.flow(tracked((BOB, FLAT), (FLAT, HOME), TCP, CTA_PROTOINFO=about), SIDES)
    assert row is not None and (row["protocol"], row["state"]) == ("tcp", "established")


def test_ipv6_is_forwarded_as_it_is() -> None:
    host, far = ("2001:db8:32::10", 40000), ("2001:db8:33::10", 50000)
    row = mappings.flow(tracked((host, far), (far, host), family=10), SIDES)
    assert row is not None and row["inner"] == row["outer"] == list(host)


@pytest.mark.parametrize(
    "message",
    [tracked((HOME, FLAT), (FLAT, HOME)), tracked((BOB, FLAT), (FLAT, HOME), ICMP), Message({"nfgen_family": 2})],
    ids=["the router's own", "without ports", "without ends"],
)
def test_what_is_no_host_s_is_left_out(message: Message) -> None:
    assert mappings.flow(message, SIDES) is None


@pytest.mark.parametrize(
    ("key", "remote"),
    [
        ("c0a8200a9c400000", None),
        ("c0a8200a9c400000cb007121", ["203.0.113.33", None]),
        ("c0a8200a9c400000cb007121c3500000", ["203.0.113.33", 50000]),
    ],
)
def test_the_key_of_a_table_s_mapping_says_whom_it_is_for(key: str, remote: Any) -> None:
    row = mappings.mapping("udp", bytes.fromhex(key), bytes.fromhex("cb007120a0280000"), 29.5)
    assert row == {
        "protocol": "udp", "inner": list(BOB), "outer": list(HOME), "remote": remote, "seconds": 29.5,
    }  # fmt: skip


class Tracking:
    """Connection tracking that has these messages, or refuses."""

    def __init__(self, answer: list[Message] | NetlinkError) -> None:
        self.answer, self.asked = answer, list[Any]()

    def __call__(self, nfgen_family: int) -> "Tracking":
        self.family = nfgen_family
        return self

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def entry(self, command: str, tuple_orig: Any) -> list[Message]:
        assert command == "get"
        self.asked.append(tuple_orig)
        if isinstance(self.answer, NetlinkError):
            raise self.answer
        return self.answer


COUNTERS = {
    f"CTA_COUNTERS_{way}": Message({"CTA_COUNTERS_PACKETS": n, "CTA_COUNTERS_BYTES": 100 * n})
    for way, n in (("ORIG", 3), ("REPLY", 2))
}
ASKED = {"protocol": "udp", "inner": list(BOB), "remote": list(FLAT)}


@pytest.mark.parametrize(
    ("message", "packets"),
    [
        (tracked((BOB, FLAT), (FLAT, HOME), **COUNTERS), [3, 2]),
        (tracked((FLAT, HOME), (BOB, FLAT), **COUNTERS), [2, 3]),
        (tracked((BOB, FLAT), (FLAT, HOME)), None),
    ],
)
def test_one_flow_is_asked_for_alone_whoever_opened_it(
    monkeypatch: pytest.MonkeyPatch, message: Message, packets: list[int] | None
) -> None:
    tracking = Tracking([Message({"nfgen_family": 2}), message])
    monkeypatch.setattr(mappings, "NFCTSocket", tracking)
    sizes = [100 * one for one in packets] if packets else None
    assert mappings.tally(ASKED) == {"flow": {"packets": packets, "bytes": sizes}}
    (asked,) = tracking.asked
    assert (asked.saddr, asked.sport, asked.daddr, asked.dport, asked.proto) == (*BOB, *FLAT, UDP)


def test_a_flow_that_is_not_tracked_is_none_and_any_other_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "NFCTSocket", Tracking(NetlinkError(errno.ENOENT)))
    assert mappings.tally(ASKED) == {"flow": None}
    monkeypatch.setattr(mappings, "NFCTSocket", Tracking(NetlinkError(errno.EPERM)))
    with pytest.raises(NetlinkError):
        mappings.tally(ASKED)


@pytest.mark.parametrize(
    "changes", [{"protocol": "icmp"}, {"inner": ["bob", 1]}, {"remote": None}, {"inner": ["10.0.0.1"]}]
)
def test_what_is_no_flow_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected protocol, inner and remote"):
        mappings.tally({**ASKED, **changes})
