"""A report as `lab report` makes it, in a real browser; skipped where there is no Chromium on the machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.harness.handing import Handout
from lab.harness.reporting import reported
from lab.report.handout import make
from tests.kept_lab import checkout
from tests.page.browser import PROGRAM, Browser, browser

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if PROGRAM is None and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.skip(reason="there is no Chromium: apt-get install chromium"))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = checkout(tmp_path_factory.mktemp("kept"))
    target = tmp_path_factory.mktemp("report")
    make(kept, reported(kept, "lab", lambda: None), Handout(target), True, lambda *step: None)
    return target / "index.html"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def opened(chromium: Browser, report: Path) -> Iterator[Browser]:
    """At the page, in a wide window and in light; it must have said nothing of an error by the end of the test."""
    chromium.look(1280, 900)
    chromium.open(report)
    yield chromium
    assert chromium.errors == []
    assert [one for one in chromium.loaded if not one.startswith(("file:", "data:", "about:"))] == []
