"""The checkout and what is kept in it."""

from pathlib import Path

import pytest

from lab.errors import ConfigError, RuntimeUnavailable
from lab.harness.checkout import KEPT_CALLS, Checkout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    (tmp_path / "compose").mkdir()
    for name in ("base.yml", "reference.yml"):
        (tmp_path / "compose" / name).touch()
    monkeypatch.delenv("LAB_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return Checkout(tmp_path)


def test_it_is_found_from_a_folder_below(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout.root / "compose")
    assert Checkout.find().root == checkout.root


def test_lab_root_comes_first(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("LAB_ROOT", str(tmp_path))
    assert Checkout.find().root == tmp_path
    monkeypatch.setenv("LAB_ROOT", "/")
    with pytest.raises(ConfigError, match="LAB_ROOT is /"):
        Checkout.find()


def test_outside_of_any_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_ROOT", raising=False)
    monkeypatch.chdir("/")
    with pytest.raises(ConfigError, match="set LAB_ROOT"):
        Checkout.find()


def test_a_missing_topology_names_those_that_there_are(checkout: Checkout) -> None:
    assert checkout.topology(None) == checkout.root / "compose" / "reference.yml"
    assert checkout.topology(Path("compose/reference.yml")) == checkout.root / "compose" / "reference.yml"
    with pytest.raises(ConfigError, match=r"no topology zoo\.yml; the checkout has compose/reference\.yml"):
        checkout.topology(Path("zoo.yml"))


def test_calls_are_numbered_and_the_last_fifty_kept(checkout: Checkout) -> None:
    names = [checkout.new_call()[0] for _ in range(KEPT_CALLS + 3)]
    assert names[:2] == ["c1", "c2"]
    kept = {folder.name for folder in (checkout.state / "calls").iterdir()}
    assert kept == set(names[3:])


def test_where_no_call_is_kept_it_says_what_to_do(checkout: Checkout) -> None:
    with pytest.raises(ConfigError, match=r"^there is no call 'c1', and none is kept; place one with `lab call`$"):
        checkout.kept("c1")


def test_only_one_up_or_down_at_a_time(checkout: Checkout) -> None:
    with checkout.alone(), pytest.raises(RuntimeUnavailable, match="another"), checkout.alone():
        pass
    with checkout.alone():
        pass
