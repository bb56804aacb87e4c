"""The report's page in Chromium: no error, calls open by mouse and keyboard, light and dark, as wide as a telephone."""

from pathlib import Path

import pytest

from tests.page.browser import Browser

OPEN = "document.getElementById('call').open"
NAME = "document.getElementById('call-name').textContent"
FOCUS = "document.activeElement.dataset.call"
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
LADDER = "document.querySelector('.ladder').shadowRoot.querySelector('svg')"


def luminance(colour: str) -> float:
    """Of `rgb(18, 22, 28)`, relative as WCAG 2 has it."""
    channels = [int(one) / 255 for one in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(page: Browser, selector: str, ground: str) -> float:
    said = page.ask(
        f"[getComputedStyle(document.querySelector('{selector}')).color,"
        f" getComputedStyle(document.querySelector('{ground}')).backgroundColor]"
    )
    low, high = sorted(luminance(one) for one in said)
    return (high + 0.05) / (low + 0.05)


def test_it_opens_and_loads_nothing_else(opened: Browser) -> None:
    assert opened.ask("document.title") == "supernode-lab: report"
    assert opened.ask("document.querySelectorAll('.heat button').length") == 6
    assert opened.loaded[-1].startswith("file:") and len(opened.loaded) <= 3
    assert opened.ask("document.querySelectorAll('[aria-label=topology] svg text').length") > 10


def test_the_mouse_opens_a_cell_with_ladder_curve_timeline_and_captures_and_closes_it(opened: Browser) -> None:
    opened.click(".heat button[data-call='m1-1']")
    opened.until(OPEN)
    assert opened.ask(NAME).startswith("bob → frank")
    assert opened.ask(f"{LADDER}.querySelectorAll('.row').length") > 8
    assert opened.ask("document.querySelectorAll('#told .quality circle').length") == 48
    assert opened.ask("document.querySelectorAll('#told tr').length") > 10
    assert opened.ask("document.querySelector('#told a').getAttribute('href')") == "captures/m1-1.pcapng"
    opened.click("#close")
    opened.until(f"!{OPEN}")


def test_a_ladder_is_in_view_to_the_ends_of_its_words(opened: Browser) -> None:
    opened.click(".heat button[data-call='m1-1']")
    opened.until(OPEN)
    ends = f"[{LADDER}, ...{LADDER}.querySelectorAll('text')].map(one => one.getBoundingClientRect().right)"
    opened.look(950, 800)
    assert opened.ask(f"{LADDER}.viewBox.baseVal.width") > 950, "it has less room than it would take"
    frame = "document.querySelector('.ladder').getBoundingClientRect().right"
    assert opened.ask(f"Math.max(...{ends}) <= {frame}")


@pytest.mark.parametrize("key", ["Enter", " "])
def test_the_keyboard_opens_a_cell_and_escape_comes_back_to_it(opened: Browser, key: str) -> None:
    opened.ask("document.querySelector('#matrix .scroll').focus()")
    opened.press("Tab")
    assert opened.ask(FOCUS) == "m1-1"
    opened.press("ArrowDown")  # past the cell of somebody who calls himself
    opened.press("ArrowRight")
    before = opened.ask(FOCUS)
    assert before not in (None, "m1-1")
    opened.press(key)
    opened.until(OPEN)
    assert opened.ask("location.hash") == f"#{before}"
    opened.press("Escape")
    opened.until(f"!{OPEN} && location.hash === ''")
    assert opened.ask(FOCUS) == before


def test_the_grid_is_one_stop_of_the_tab_key(opened: Browser) -> None:
    opened.ask("document.querySelector('#matrix .scroll').focus()")
    opened.press("Tab")
    opened.press("End")
    assert opened.ask(FOCUS) == "m1-6"
    opened.press("Tab")
    assert opened.ask("document.activeElement.closest('.heat')") is None


def test_a_single_call_opens_and_a_link_to_one_does(opened: Browser, report: Path) -> None:
    opened.click(".calls button")
    opened.until(OPEN)
    assert "call c2:" in opened.ask(NAME)
    opened.open(report, "#m1-3")
    opened.until(OPEN)
    assert "call m1-3:" in opened.ask(NAME)


def test_what_is_missing_of_a_call_is_said_in_its_cell(opened: Browser) -> None:
    opened.click(".heat button[data-call='m1-6']")
    opened.until(OPEN)
    assert "setting.json" in opened.ask("document.querySelector('#told .none-there').textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_in_dark(opened: Browser, scheme: str) -> None:
    opened.look(1280, 900, scheme)
    ground = opened.ask("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) > 0.5) is (scheme == "light")
    for words in ("h1", "p", ".quiet", ".wrong", ".well"):
        assert contrast(opened, words, "body") >= 4.5, words  # WCAG 2, 1.4.3
    opened.click(".heat button[data-call='m1-1']")
    opened.until(OPEN)
    paper = opened.ask(f"getComputedStyle({LADDER}).backgroundColor")
    assert (luminance(paper) > 0.5) is (scheme == "light")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_is_no_wider_than_its_window(opened: Browser, width: int) -> None:
    opened.look(width, 740)
    assert opened.ask(WIDER) is False
    opened.click(".heat button[data-call='m1-1']")
    opened.until(OPEN)
    assert opened.ask(WIDER) is False
    assert opened.ask("document.getElementById('call').scrollWidth <= innerWidth")
    assert opened.ask("document.getElementById('call').getBoundingClientRect().width") <= width
