"""A ladder for the eye: 80 columns, no colours in a pipe, and an SVG that is XML and says the same."""

import io
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from lab.evidence.ladder import Column, Ladder, Row
from lab.report.console import _THEME
from lab.report.ladder import ladder
from lab.report.ladder_svg import svg

SVG = "{http://www.w3.org/2000/svg}"


def row(at: float, sender: int, receiver: int, what: str, **changes: Any) -> Row:
    fields: dict[str, Any] = {"protocol": "udp", "count": 1, "dropped": None, "answered": False, "moment": False}
    return Row(at, at, sender, receiver, what, **fields | changes)


NAMES = ("bob", "home-router", "core", "supernodes", "relays", "flat-router", "frank")
CALL = Ladder(
    "c1", "bob", "frank", "punched/udp", tuple(Column(name, (name,)) for name in NAMES),
    (
        row(1.2, 0, 3, "invite", protocol="tcp", moment=True),
        row(25.0, 6, 1, "first check", dropped="home-router", moment=True),
        row(26.0, 3, 3, "ringing, supernode-1 to supernode-2", protocol="tcp"),
        row(40.0, 0, 6, "check", count=8, answered=True),
        row(1600.0, 6, 0, "first voice <b> & more", count=148),
    ),
)  # fmt: skip


def shown(found: Ladder, width: int = 80, **options: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=width, theme=_THEME, highlight=False, **options)
    console.print(ladder(found, width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("columns", [0, 2, 5, 7, 9])
def test_it_fits_eighty_columns(columns: int) -> None:
    found = Ladder(
        "c1", "a-client-with-a-long-name", "frank", None,
        tuple(Column(f"a-node-with-a-long-name-{number}", (str(number),)) for number in range(columns)),
        tuple(row(1.0, 0, n, "a check of what is a very long name indeed", count=9) for n in range(1, columns)),
    )  # fmt: skip
    lines = shown(found)
    assert max(map(len, lines)) <= 80 and len(lines) == 4 + columns + max(1, columns - 1)


def test_each_arrow_goes_from_its_sender_to_its_receiver_or_to_where_it_was_dropped() -> None:
    rows = shown(CALL)[9:14]
    step = (rows[0].index("►") - rows[0].index("├")) // 3
    assert rows[0].startswith("      1  ├") and rows[0].endswith("invite") and "═" in rows[0] and "─" not in rows[0]
    assert rows[1].index("✗") == 9 + step and rows[1].rstrip().endswith("first check") and "►" not in rows[1]
    assert rows[2][9 + 3 * step] == "●" and "─" not in rows[2]
    assert rows[3].index("├") == 9 and rows[3].index("►") == 9 + 6 * step and rows[3].endswith("check + 7 more ✓")
    assert rows[4].startswith("  1,600  ◄") and "first voice" in rows[4]


def test_every_name_stands_above_its_lifeline() -> None:
    for number, (line, name) in enumerate(zip(shown(CALL)[2:9], NAMES, strict=True)):
        assert line[9 + number * 5 :] == name and line[9 : 9 + number * 5] == "│    " * number


def test_a_pipe_has_no_escapes_and_a_terminal_has() -> None:
    assert "\x1b" not in "".join(shown(CALL))
    assert "\x1b" in "".join(shown(CALL, force_terminal=True, color_system="standard"))


def test_a_call_without_packets_says_so() -> None:
    assert any("no packet of this call" in line for line in shown(Ladder("c1", "bob", "frank", None, (), ())))


def test_the_svg_is_xml_with_text_and_stands_by_itself() -> None:
    drawing = svg(CALL)
    root = ElementTree.fromstring(drawing)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"bob", "home-router", "frank", "first voice <b> & more + 147 more", "1,600"} <= set(texts)
    assert "prefers-color-scheme: dark" in drawing and "http" not in drawing.replace("http://www.w3.org/2000/svg", "")
    titles = [element.text or "" for element in root.iter(f"{SVG}title")]
    assert "25 ms: first check, dropped at home-router" in titles


def test_why_something_was_dropped_stands_in_its_row_as_far_as_there_is_room() -> None:
    rule = "FORWARD -i eth0 -o eth1 -p udp -m hashlimit --hashlimit-above 2000b/s -j DROP"
    whys = ("INPUT's policy", rule)
    lost = tuple(row(25.0, 6, 1, "first check", dropped="home-router", why=why) for why in whys)
    found = Ladder("c1", "bob", "frank", None, CALL.columns, lost)
    first, second = [line for line in shown(found) if line.startswith("     25")]
    assert first.endswith("first check ✗ INPUT's policy") and second.endswith("…") and len(second) <= 80
    root = ElementTree.fromstring(svg(found))
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert "first check ✗ INPUT's policy" in texts and not any(rule in text for text in texts)
    titles = [element.text or "" for element in root.iter(f"{SVG}title")]
    assert f"25 ms: first check ✗ {rule}, dropped at home-router" in titles


def test_where_there_is_little_room_the_count_and_the_name_are_shortened_before_the_reason() -> None:
    lost = row(25.0, 6, 1, "answer to a check supernode-1", count=1234, dropped="home-router", why="INPUT's policy")
    found = Ladder("c1", "bob", "frank", None, CALL.columns, (lost,))
    for width, said in (
        (140, "answer to a check supernode-1 + 1,233 more ✗ INPUT's policy"),
        (133, "answer to a check supernode-1 + 1,233 ✗ INPUT's policy"),
        (80, "answer to a … + 1,233 ✗ INPUT's policy"),
        (70, "answer … + 1,233 ✗ INPUT's …"),
    ):
        (line,) = [line for line in shown(found, width) if line.startswith("     25")]
        assert line.rstrip().endswith(f"  {said}") and len(line.rstrip()) <= width
    assert row(1.0, 0, 6, "x" * 30, count=2).within(20) == f"{'x' * 15}… + 1"


@pytest.mark.parametrize(
    ("changes", "letter"),
    [({"dropped": "core", "why": "nobody's address on the internet"}, 7.1), ({"moment": True, "answered": True}, 7.9)],
)
def test_in_the_svg_the_longest_words_are_inside_the_view_and_none_has_more_room_than_needed(
    changes: dict[str, Any], letter: float
) -> None:
    """As wide as Chromium draws them in DejaVu Sans, at 13 pixels."""
    rows = row(1.0, 0, 6, "first question of many, all over TCP", count=1234, **changes), CALL.rows[0]
    root = ElementTree.fromstring(svg(Ladder("c1", "bob", "frank", None, CALL.columns, rows)))
    width = float(root.get("width", "0"))
    assert root.get("viewBox", "").split()[2] == root.get("width")
    words = [text for group in root.iter(f"{SVG}g") for text in list(group.iter(f"{SVG}text"))[1:]]
    ends = [float(text.get("x", "0")) + letter * len(text.text or "") for text in words]
    assert len(words[0].text or "") > 40 and max(ends) < width < max(ends) + 40


def test_where_there_is_less_room_the_svg_shrinks_to_three_quarters_and_then_is_scrolled() -> None:
    drawing = svg(CALL)
    width = float(ElementTree.fromstring(drawing).get("width", "0"))
    assert "max-width: 100%; height: auto" in drawing and f"min-width: {round(width * 0.75)}px" in drawing


def test_in_the_svg_an_arrow_ends_at_its_receiver() -> None:
    root = ElementTree.fromstring(svg(CALL))
    lives = [float(line.get("x1", "0")) for line in root.iter(f"{SVG}line") if line.get("class") == "life"]
    groups = [group for group in root.iter(f"{SVG}g") if "row" in (group.get("class") or "")]
    assert len(lives) == len(NAMES) and len(groups) == len(CALL.rows)
    for group, one in zip(groups, CALL.rows, strict=True):
        lines = list(group.iter(f"{SVG}line"))
        assert len(lines) == (0 if one.sender == one.receiver else 2 if one.protocol == "tcp" else 1)
        if lines:
            assert float(lines[0].get("x1", "0")) == lives[one.sender]
            assert abs(float(lines[0].get("x2", "0")) - lives[one.receiver]) == 7
