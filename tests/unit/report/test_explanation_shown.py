"""Why a call took its path, in 80 columns: whose attempt each was is never cut off."""

import io
from dataclasses import replace

from rich.console import Console

from lab.harness.chapters import BEGINNING, Chapter
from lab.harness.explaining import Attempt, Explanation, Rung
from lab.report.console import _THEME
from lab.report.explanation import explanation

FOUND = Explanation(
    "c7",
    "port-restricted-1-pc",
    "carol",
    None,
    "interrupted",
    (),
    (
        Attempt("port-restricted-1-pc", "udp", "192.168.34.10:54474", 36, 4044, "failed", None, None),
        Attempt("carol", "relay", "203.0.113.22:33034", 58, 99, "valid", "relayed/mixed via relay-1", 43.0),
        Attempt("carol", "tcp", "[2001:db8:0:38::10]:40000", 60, None, "in-progress", None, None),
    ),
    (),
    (),
    (
        Rung("direct/udp", "ruled out", "no answer"),
        Rung(
            "relayed/mixed",
            "taken",
            "it works",
            tuple(
                Chapter("port-restricted-1-pc", 1000 * number, "failed", "203.0.113.22:33034")
                for number in range(BEGINNING + 1)
            ),
            untold=7,
        ),
    ),
)


def shown(width: int, found: Explanation = FOUND) -> list[str]:
    console = Console(file=io.StringIO(), width=width, theme=_THEME)
    console.print(explanation(found))
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def test_in_80_columns_every_attempt_has_its_client_and_nothing_is_lost() -> None:
    lines = shown(80)
    assert max(map(len, lines)) <= 80
    rows = lines[lines.index("what each tried, ms after dialling") + 2 :]
    assert [row.split()[0] for row in rows if row[2:3].strip()] == ["port-restricted-1-pc", "carol", "carol"]
    text = "".join("".join(rows).split())
    for word in ("failed", "valid", "4044"):
        assert word in text, word
    assert "…" not in "\n".join(lines)


def test_where_there_is_room_each_is_one_line() -> None:
    lines = shown(140)
    assert any(
        "203.0.113.22:33034" in line and "relayed/mixed via relay-1" in line and "43.0" in line for line in lines
    )
    assert lines[0] == "port-restricted-1-pc → carol  call c7  interrupted"


def test_what_befell_a_path_stands_beside_it_and_what_is_left_out_is_counted() -> None:
    lines = shown(80)
    begin = lines.index("what befell each path, ms after dialling") + 1
    rows = [line.split() for line in lines[begin : lines.index("", begin)]]
    assert rows[0] == ["relayed/mixed", "port-restricted-1-pc", "0", "failed", "203.0.113.22:33034"]
    assert rows[BEGINNING] == ["and", "7", "more,", "left", "out", "here"]
    assert rows[BEGINNING + 1][1:] == [str(1000 * BEGINNING), "failed", "203.0.113.22:33034"]


def test_a_call_that_never_got_so_far_has_no_tables_of_nothing() -> None:
    lines = shown(80, replace(FOUND, attempts=(), rungs=FOUND.rungs[:1]))
    assert [line.rstrip() for line in lines] == [
        "port-restricted-1-pc → carol  call c7  interrupted", "", "  direct/udp  ruled out  no answer"
    ]  # fmt: skip
