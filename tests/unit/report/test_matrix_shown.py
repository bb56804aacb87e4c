"""A matrix for the eye: a grid that fits, without colours too, a page that stands alone, lines for what failed."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from lab.harness.call_report import CallReport, MediaPath, Observed, SetupTimes
from lab.harness.matrix import Matrix, Progress
from lab.report.console import _THEME
from lab.report.heatmap import page
from lab.report.matrix import Calling, matrix

SITES = {"alice": "park", "bob": "home", "carol": "office"}


def cell(caller: str, callee: str, kind: str = "punched", agrees: bool = True, error: str | None = None) -> CallReport:
    path = None if error else MediaPath(kind, "udp", None)
    observed = None if error else Observed(kind, "udp", None, 300)
    return CallReport(
        f"m1-{caller}", caller, callee, error is None, error, path, observed, agrees and not error,
        () if agrees else ("they <b>differ</b>",), (), SetupTimes(10, 510, 546, 600), {}, {}, Path("e"),
    )  # fmt: skip


def found(*cells: CallReport, sites: dict[str, str] = SITES) -> Matrix:
    return Matrix("m1", sites, cells, 12.0, {}, Path(".lab/matrices/m1"), len(cells))


def shown(what: Matrix, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, theme=_THEME, no_color=True)
    console.print(matrix(what, width))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_each_cell_tells_path_and_setup_without_colours() -> None:
    text = shown(found(cell("bob", "carol"), cell("carol", "bob", "relayed")))
    row = next(line for line in text.splitlines() if line.startswith("home"))
    assert "punched/udp 36" in row and "\x1b" not in text
    assert "2 calls in 12 s (6.00 s each): clients and packets agree" in text


def test_the_summary_tells_how_soon_voice_came_on_each_path_and_of_all_calls() -> None:
    slow = replace(cell("carol", "bob", "relayed"), setup_ms=SetupTimes(10, 510, 610, 610))
    rows = [" ".join(line.split()) for line in shown(found(cell("bob", "carol"), slow)).splitlines()]
    assert "punched/udp 1 36 ms 36 ms 36 ms" in rows and "all 2 68 ms 97 ms 100 ms" in rows


@pytest.mark.parametrize("width", [40, 80, 160])
def test_a_grid_too_wide_for_its_terminal_comes_in_blocks_and_nothing_is_cut(width: int) -> None:
    sites = {f"n{number}": f"network-{number}" for number in range(30)}
    cells = [cell(one, two) for one in sites for two in sites if one != two]
    text = shown(found(*cells, sites=sites), width)
    assert text.count("pu 36") == len(cells)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "pu  punched/udp" in text


def test_what_failed_is_named_with_its_evidence_and_counted() -> None:
    text = shown(
        found(cell("bob", "carol"), cell("carol", "bob", error="nobody rang"), cell("alice", "bob", agrees=False))
    )
    assert "2 failed" in text and "nobody rang" in text and "failed" in text and "punched/udp! 36" in text


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells = 0
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.cells += tag == "td"
        self.outside += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone_and_has_a_cell_for_every_pair() -> None:
    text = page(found(cell("bob", "carol"), cell("carol", "bob", agrees=False)))
    reader = _Page()
    reader.feed(text)
    assert reader.cells == 9 and reader.outside == [] and not re.search(r"https?://|@import|\$[a-z]", text)
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    assert 'class="bad"' in text and 'class="pu"' in text


def test_words_of_a_call_cannot_break_out_of_the_page() -> None:
    text = page(
        found(
            cell("bob", "</script><b>", error="</script><script>alert(1)</script>"),
            sites={"bob": "<i>", "</script><b>": "x"},
        )
    )
    assert text.count("</script>") == 1 and "<i>" not in text


def test_without_a_terminal_only_failures_are_lines() -> None:
    console = Console(file=io.StringIO(), width=200, theme=_THEME)
    with Calling(console) as calling:
        calling.follow(Progress(0, 2, 0))
        calling.follow(Progress(1, 2, 0, cell("bob", "carol")))
        calling.follow(Progress(2, 2, 1, cell("carol", "bob", error="nobody rang")))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("\n") == 1 and "nobody rang" in text
