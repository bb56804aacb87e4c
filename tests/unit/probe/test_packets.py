"""What is crafted is read again as what it was, in both families, whole and in fragments."""

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP

from lab.errors import ProtocolError
from lab.probe.crafting import craft
from lab.probe.reading import Reader
from lab.probe.train import MARK, Arrivals, Template

ENDS = {
    4: {"src": "203.0.113.5", "dst": "192.0.2.1", "sport": 5, "dport": 6},
    6: {"src": "2001:db8::5", "dst": "2001:db8::1", "sport": 5, "dport": 6},
}


def read(spec: dict[str, Any]) -> list[dict[str, Any] | None]:
    reader = Reader()
    return [reader.read(data) for data in craft(spec)]


@pytest.mark.parametrize("family", [4, 6])
def test_udp_comes_with_its_token(family: int) -> None:
    (seen,) = read({"proto": "udp", **ENDS[family], "token": "a.1"})
    assert seen and {name: seen[name] for name in ("proto", "token", *ENDS[family])} == {
        "proto": "udp", "token": "a.1", **ENDS[family],
    }  # fmt: skip


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("order", ["in-order", "reversed"])
def test_fragments_are_read_as_one_datagram_in_any_order(family: int, order: str) -> None:
    seen = read({"proto": "udp", **ENDS[family], "token": "a.1", "size": 2000, "fragments": order})
    assert len(seen) > 1 and not any(seen[:-1])
    assert seen[-1] and (seen[-1]["token"], seen[-1]["size"], seen[-1]["fragments"]) == ("a.1", 2000, len(seen))


def test_a_lost_fragment_is_no_datagram_and_the_next_one_is() -> None:
    reader = Reader()
    spec = {"proto": "udp", **ENDS[4], "token": "a.1", "size": 2000, "fragments": "reversed"}
    assert [reader.read(data) for data in craft(spec)[:-1]] == [None]
    assert [seen and seen["token"] for seen in map(reader.read, craft(spec))] == [None, "a.1"]


@pytest.mark.parametrize("family", [4, 6])
def test_tcp_keeps_its_flags_and_numbers(family: int) -> None:
    (seen,) = read({"proto": "tcp", **ENDS[family], "flags": "SA", "seq": 7, "ack": 8})
    assert seen and (seen["flags"], seen["seq"], seen["ack"]) == ("SA", 7, 8)


@pytest.mark.parametrize("family", [4, 6])
def test_a_payload_that_begins_like_tls_keeps_its_token(family: int) -> None:
    spec = {"proto": "tcp", **ENDS[family], "flags": "PA", "seq": 1, "ack": 1, "token": "b.2", "tls": True}
    (data,) = craft(spec)
    assert bytes(IP(data)[TCP].payload)[:3] == b"\x16\x03\x01" if family == 4 else True
    assert (seen := Reader().read(data)) and seen["token"] == "b.2"


@pytest.mark.parametrize(("family", "kind"), [(4, (3, 3)), (4, (3, 4)), (6, (1, 4)), (6, (2, 0))])
def test_an_error_quotes_the_packet_that_it_reports(family: int, kind: tuple[int, int]) -> None:
    about = {"proto": "udp", **ENDS[family], "token": "c"}
    error = {
        "proto": "error", "src": ENDS[family]["dst"], "dst": ENDS[family]["src"], "type": kind[0], "code": kind[1],
        "mtu": 1400 if kind in ((3, 4), (2, 0)) else 0, "about": about,
    }  # fmt: skip
    (seen,) = read(error)
    assert seen and (seen["type"], seen["code"], seen["mtu"]) == (*kind, error["mtu"])
    assert seen["about"] == {"proto": "udp", **ENDS[family]}


@pytest.mark.parametrize("family", [4, 6])
def test_an_echo_and_its_reply(family: int) -> None:
    for proto, name in (("echo", "request"), ("echo-reply", "reply")):
        (seen,) = read({"proto": proto, **ENDS[family], "number": 77, "token": "d"})
        assert seen and (seen["echo"], seen["number"], seen["token"]) == (name, 77, "d")


def test_a_size_is_that_of_the_whole_packet_and_df_is_set_where_it_is_asked_for() -> None:
    (data,) = craft({"proto": "udp", **ENDS[4], "token": "e", "size": 1492, "df": True})
    assert (len(data), str(IP(data).flags)) == (1492, "DF")


def test_what_cannot_be_crafted_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="'proto': 'sctp'"):
        craft({"proto": "sctp", **ENDS[4]})


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_a_train_counts_itself_with_good_checksums(family: int, proto: str) -> None:
    tcp = {"flags": "PA", "seq": 1, "ack": 1, "tls": True} if proto == "tcp" else {}
    template, arrivals = Template({"proto": proto, **ENDS[family], **tcp}, train=9), Arrivals()
    for number, late_us in ((0, 100), (2, 300), (2, 900)):
        data = template.stamped(number, 1_000_000)
        assert arrivals.take(data, 1_000_000 + late_us * 1000)
        if family == 4:
            again = IP(data)
            layer = UDP if proto == "udp" else TCP
            said = again[layer].chksum
            del again[layer].chksum
            assert IP(bytes(again))[layer].chksum == said
    assert arrivals.result(9) == {"arrived": [[0, 100], [2, 300]], "copies": 1}
    assert arrivals.result(9) == {"arrived": [], "copies": 0}


def test_other_packets_are_no_train() -> None:
    assert not Arrivals().take(craft({"proto": "udp", **ENDS[4], "token": "train"})[0], 0)


@pytest.mark.parametrize("left", [0, 15])
def test_a_packet_that_ends_within_a_stamp_is_no_train(left: int) -> None:
    data = Template({"proto": "udp", **ENDS[4]}, train=9).stamped(1, 1_000_000)
    assert not Arrivals().take(data[: data.index(MARK) + len(MARK) + left], 0)
