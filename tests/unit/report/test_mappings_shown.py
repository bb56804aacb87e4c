"""What `lab nat` prints: a table in 80 columns, and a line for each change where there is no terminal."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from lab.harness.mappings import Flow, Mapped, SiteMappings, news
from lab.report.console import _THEME, plain
from lab.report.mappings import LINGER, Watching, mappings

FRANK = Flow("flat wan:50702", "203.0.113.33:50702", "inside", "two-way", 118, None)
RELAY = Flow("relay-1:33034", "203.0.113.21:33034", "inside", "one-way", 21, None)
LINK = Flow("supernode-1:33033", "203.0.113.11:33033", "inside", "established", 432_000, None)
UDP = Mapped("udp", "bob:38458", "192.168.32.10:38458", "203.0.113.32:38458", None, False, 118, (FRANK, RELAY))
TCP = Mapped("tcp", "bob:44139", "192.168.32.10:44139", "203.0.113.32:44139", None, False, 432_000, (LINK,))
HOME = SiteMappings("home", "linux", "none", True, ("203.0.113.32",), (UDP, TCP))


def shown(found: SiteMappings, width: int = 80) -> list[str]:
    lines = plain(mappings(found, width), width).splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_each_mapping_has_a_row_and_each_further_remote_one_below() -> None:
    lines = shown(HOME)
    assert lines[0] == "home  linux, firewall none  203.0.113.32  2 mappings"
    assert [line.split() for line in lines[2:]] == [
        ["UDP", "bob:38458", "203.0.113.32:38458", "flat", "wan:50702", "two-way", "118", "s"],
        ["relay-1:33034", "one-way", "21", "s"],
        ["TCP", "bob:44139", "203.0.113.32:44139", "supernode-1:33033", "established", "120", "h"],
    ]


def test_packets_stand_beside_where_they_are_counted() -> None:
    counted = replace(HOME, mappings=(replace(UDP, flows=(replace(FRANK, packets=(152, 150)),)),))
    assert ":38458" in shown(counted)[2].split() and "152/150" in shown(counted)[2]
    assert "203.0.113.32:38458" in shown(counted, 120)[2]


@pytest.mark.parametrize("outer", [("203.0.113.132",), ("203.0.113.132", "203.0.113.133")])
@pytest.mark.parametrize("packets", [None, (123_456, 98_765)])
@pytest.mark.parametrize("inner", ["alice:40000", "workstation-1:40000"])
@pytest.mark.parametrize("translates", [True, False])
def test_no_address_is_broken_in_80_columns(
    outer: tuple[str, ...], packets: tuple[int, int] | None, inner: str, translates: bool
) -> None:
    remotes = ["203.0.113.134:61234", "supernode-12:33033"]
    flows = tuple(Flow(one, one, "outside", "established", 350_000, packets) for one in remotes)
    far = [f"{address}:50001" for address in outer]
    crowd = tuple(replace(UDP, inner=inner, outer=one, flows=flows) for one in far)
    lines = shown(replace(HOME, translates=translates, outer=outer, mappings=crowd))
    told = [word for line in lines[2:] for word in line.split() if ":" in word]
    outside = [word for word in told if word in (*far, ":50001")]  # of the only one its port is enough
    assert len(outside) == (len(far) if translates else 0)
    assert [word for word in told if word not in outside] == [inner, *remotes] * len(far)
    assert sum("established, in" in line for line in lines) == len(crowd) * len(flows)


def test_a_mapping_of_the_router_s_own_table_says_whom_it_is_for() -> None:
    kept = replace(UDP, kept=True, seconds_left=290)
    assert [line.split()[-4:] for line in shown(replace(HOME, mappings=(kept,)))[2:3]] == [["any", "kept", "5", "min"]]


def test_a_site_without_translation_has_no_outer_endpoints() -> None:
    park = replace(HOME, site="park", profile="open", translates=False, outer=())
    assert "nothing is translated" in shown(park)[0] and "203.0.113.32" not in "\n".join(shown(park))


def test_nothing_is_said_in_words() -> None:
    assert "remembers nothing" in shown(replace(HOME, mappings=()))[1]


@pytest.mark.parametrize("mappings", [(), (TCP,)])
def test_long_after_a_sign_in_it_is_said_how_long_udp_is_remembered_and_what_makes_it(
    mappings: tuple[Mapped, ...],
) -> None:
    lines = shown(replace(HOME, mappings=mappings, udp_timeout_one_way_s=30, udp_timeout_s=120))
    assert lines[-2:] == [
        "  no UDP mapping: it forgets one after 120 s of silence, unanswered after 30 s",
        "  signing in and calls make some: lab nat home --watch",
    ]
    assert "no UDP mapping" not in "\n".join(shown(HOME))


@pytest.mark.parametrize("terminal", [True, False])
def test_while_it_is_watched_changes_are_seen(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80 if terminal else 160, force_terminal=terminal, theme=_THEME, color_system=None)
    gone = replace(HOME, mappings=(replace(UDP, flows=(FRANK,)), TCP))
    before = None
    with Watching(console) as watching:
        for at, now in ((100.0, HOME), (101.0, gone), (101.0 + LINGER + 1, gone)):
            watching.follow(now, news(before, now), at)
            before = now
    if terminal:
        assert out.getvalue().count("relay-1:33034") == 2, "shown once more when it has gone"
        return
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("home  linux") and len(lines) == 5
    assert lines[1].endswith("appeared    UDP bob:38458 as 203.0.113.32:38458 to flat wan:50702, two-way, 118 s left")
    assert lines[4].endswith("expired     UDP bob:38458 as 203.0.113.32:38458 to relay-1:33034")
