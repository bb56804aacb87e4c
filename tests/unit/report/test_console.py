"""What a reader that is a program gets: lines that are not folded, and end where their words do."""

import pytest
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lab.errors import Unread
from lab.report.console import MOST, out
from tests.unit.unread import unread


def printed(capsys: pytest.CaptureFixture[str], *content: object) -> list[str]:
    out().print(*content)
    return capsys.readouterr().out.splitlines()


def table(*words: str) -> Table:
    made = Table(box=None, pad_edge=False)
    for _ in words:
        made.add_column("a column", overflow="fold")
    made.add_row(*words)
    made.add_row(*("short" for _ in words))
    return made


def test_a_line_ends_where_its_words_do(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, table("one", "two and more words"))
    assert lines[-1].split() == ["short", "short"] and max(map(len, lines)) < 40
    assert all(line == line.rstrip() for line in lines)


def test_what_is_wider_than_a_terminal_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, Group(Text("words " * 60), table("x" * 150, "y" * 100)))
    assert len(lines) == 4 and "x" * 150 in lines[2] and "y" * 100 in lines[2]


def test_there_is_a_bound(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, table("x" * 900))
    assert len(lines) == 5 and max(map(len, lines)) == MOST


def test_who_asks_for_a_width_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    out().print(Text("words " * 60), width=80)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_where_nobody_reads_it_ends_as_ctrl_c_does_and_what_is_said_meanwhile_goes_nowhere() -> None:
    with unread():
        console = out()
        with pytest.raises(Unread):
            console.print("the call rings")
        console.print("hanging up")
        out().print("hung up")
