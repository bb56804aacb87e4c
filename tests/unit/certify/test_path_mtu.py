"""The longest packet of a path and whether longer ones are told of, on links that are a list."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from lab.certify.bench import Bench
from lab.certify.ends import End
from lab.certify.findings import PathMtu
from lab.certify.measuring import link


@dataclass
class Shot:
    packet: dict[str, Any]
    key: str = "packet"


@pytest.mark.parametrize(
    ("links", "found"),
    [
        ([], PathMtu(1500, None)),
        ([(1492, "refuses")], PathMtu(1492, True)),
        ([(1400, "swallows")], PathMtu(1400, False)),
        ([(1492, "refuses"), (1400, "refuses")], PathMtu(1400, True)),
        ([(1400, "refuses"), (1492, "swallows")], PathMtu(1400, True)),
        ([(1492, "refuses"), (1400, "swallows")], PathMtu(1400, False)),
        ([(1400, "swallows"), (1492, "refuses")], PathMtu(1400, False)),
    ],
)
def test_what_a_wider_link_says_is_no_word_of_the_narrower_one(
    monkeypatch: pytest.MonkeyPatch, links: list[tuple[int, str]], found: PathMtu
) -> None:
    reports: list[SimpleNamespace] = []

    def ask(shots: list[Shot], *words: Any, tries: int) -> dict[str, bool]:
        size = shots[0].packet["size"]
        mtu, becomes = next(((mtu, becomes) for mtu, becomes in links if size > mtu), (0, "passes"))
        reports[:] = [SimpleNamespace(mtu=mtu)] if becomes == "refuses" else []
        return {"packet": becomes == "passes"}

    talk = SimpleNamespace(inner=None, remote=None, outer=None, up=lambda: Shot({}), down=lambda: Shot({}))
    monkeypatch.setattr(link, "open_one", lambda *words: talk)
    monkeypatch.setattr(link, "ask", ask)
    monkeypatch.setattr(link.ends, "report", lambda *words: "told")
    end = End(lambda order, **fields: {})
    monkeypatch.setattr(end, "seen", lambda key: reports)
    assert link.mtu(Bench(end, end, ("10.0.0.1",), ("192.0.2.1",)), False, (1,), upward=True) == found
