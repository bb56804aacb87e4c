"""Packets that pass as they look: in 80 columns, wider, and without a terminal."""

import time

import pytest

from lab.harness.passing import Row
from lab.report.console import plain
from lab.report.packets import line, screen
from lab.report.viewing import View

AT = time.mktime((2026, 11, 29, 4, 47, 4, 0, 0, 0)) + 0.25
LONG = Row(AT, "port-restricted-1 lan", "port-restricted-1-pc:50702", "symmetric-sequential-2 wan:40000", "STUN check",
           "dropped", "dropped: firewall inbound-blocked", "✗ inbound-blocked", "first check of bob")  # fmt: skip
ROWS = [
    Row(AT, "", "", "", "bob: dialled", "note", event="bob: dialled"),
    Row(AT, "home lan", "bob:38458", "flat wan:50702", "STUN check", "translated", "as home wan:38458", "as :38458"),
    Row(AT, "flat wan", "home wan:38458", "flat wan:50702", "STUN check", "dropped", "dropped: no mapping",
        "✗ no mapping", "first check of bob"),
    LONG,
]  # fmt: skip


def shown(width: int, height: int = 24, rows: list[Row] | None = None) -> list[str]:
    view = View()
    view.add(ROWS if rows is None else rows)
    return plain(screen(view, width, height, ""), width).splitlines()


def test_80_columns_have_all_of_a_usual_packet() -> None:
    lines = shown(80)
    assert lines[1] == "04.250 bob: dialled"
    assert lines[2] == "04.250 home lan   bob:38458 → flat wan:50702      STUN check  as :38458"
    assert lines[3] == "04.250 flat wan   home wan:38458 → flat wan:50702 ◆ STUN check  ✗ no mapping"


@pytest.mark.parametrize(
    ("source", "destination", "what", "brief"),
    [
        ("relay-1", "home wan", "ICMP port unreachable", ":40000 → :33034"),
        ("home wan", "bob", "ICMP port unreachable", ":40000 → relay-1:33034"),
        ("core", "bob", "ICMP fragmentation needed", ":40000 → relay-1:33034"),
        ("core", "office wan", "ICMPv6 packet too big", ":40000 → :33034"),
    ],
)
def test_80_columns_have_an_icmp_error_and_what_it_is_about(
    source: str, destination: str, what: str, brief: str
) -> None:
    row = Row(AT, "home wan", source, destination, what, "", "about bob:40000 → relay-1:33034", brief)
    shown_80 = shown(80, 24, [row])[1]
    assert f" {source} → {destination} " in shown_80 and shown_80.rstrip().endswith(f"{what}  {brief}")
    assert line(row).endswith(f"{source} → {destination}  {what}  about bob:40000 → relay-1:33034")


def test_a_wide_terminal_has_it_in_full() -> None:
    assert "04:47:04.250 home lan" in shown(140)[2] and shown(140)[2].endswith("STUN check  as home wan:38458")
    assert shown(140)[3].endswith("◆ first check of bob  dropped: no mapping")


def test_what_became_of_a_packet_is_not_cut_for_its_way() -> None:
    assert shown(80)[4].endswith("◆ STUN check  ✗ inbound-blocked")
    assert shown(80)[4].startswith("04.250 port-… lan port-restrict")


@pytest.mark.parametrize("width", [1, 2, 20, 40, 79, 80, 110, 300])
@pytest.mark.parametrize("height", [1, 4, 5, 10, 50])
def test_it_fits_any_terminal(width: int, height: int) -> None:
    lines = shown(width, height, ROWS * 10)
    assert all(len(one) <= width for one in lines)
    assert len(lines) <= max(height, 5)


def test_a_pipe_has_a_line_each_with_everything() -> None:
    assert line(ROWS[1]) == "04:47:04.250  home lan      bob:38458 → flat wan:50702  STUN check  as home wan:38458"
    assert line(ROWS[2]).endswith("STUN check  dropped: no mapping  [first check of bob]")
    assert line(ROWS[0]) == "04:47:04.250  bob: dialled"


def test_names_are_no_markup() -> None:
    row = Row(AT, "core", "[2001:db8::1]:1", "[bold]:2", "UDP")
    assert "[2001:db8::1]:1 → [bold]:2" in line(row) and "[bold]:2" in shown(110, 24, [row])[1]


def test_what_is_asked_and_what_is_watched_stand_below() -> None:
    view = View()
    view.add(ROWS)
    for key in ("f", "s", "t"):
        view.press(key)
    lines = plain(screen(view, 80, 10, "writing a.pcapng"), 80).splitlines()
    assert lines[-1] == "words to show, -word to hide: st█"
    assert lines[-2] == "live  3 packets, 2 dropped or lost  writing a.pcapng"
