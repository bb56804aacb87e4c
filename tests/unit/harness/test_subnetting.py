"""Which subnets a second lab has: the first set that is free, the same one again, and none where the user chose."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab.errors import ConfigError
from lab.harness import subnetting
from lab.topology import parse

FILE = Path(__file__).parents[3] / "compose" / "reference.yml"


def networks(*subnets: str) -> list[IPv4Network]:
    return [IPv4Network(subnet) for subnet in subnets]


def test_the_first_lab_has_what_its_folder_says(tmp_path: Path) -> None:
    assert subnetting.variables(tmp_path, "lab", FILE, ()) == {}


def test_another_lab_has_the_first_set_that_is_free(tmp_path: Path) -> None:
    assert subnetting.variables(tmp_path, "two", FILE, ())["LAB_INTERNET"] == "198.18.1"
    used = networks("198.18.1.0/24", "10.2.36.0/24", "192.168.0.0/16")
    assert subnetting.variables(tmp_path, "two", FILE, used)["LAB_INTERNET"] == "198.18.3"


def test_a_lab_keeps_its_set_while_that_is_free(tmp_path: Path) -> None:
    subnetting.remember(tmp_path, "two", subnetting.numbered(5))
    assert subnetting.variables(tmp_path, "two", FILE, ()) == subnetting.numbered(5)
    assert subnetting.variables(tmp_path, "three", FILE, ()) == subnetting.numbered(1)
    assert subnetting.variables(tmp_path, "two", FILE, networks("198.18.5.0/24")) == subnetting.numbered(1)


def test_the_sets_lie_apart() -> None:
    for name in ("reference.yml", "zoo.yml"):
        found = [parse(FILE.parent / name, subnetting.numbered(number)) for number in (1, 16, 63)]
        for network in found[0].networks:
            for other in (*found[1].networks, *found[2].networks):
                assert not network.subnet.overlaps(other.subnet)
                assert not (network.subnet6 and other.subnet6 and network.subnet6.overlaps(other.subnet6))


def test_where_the_user_chose_nothing_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_INTERNET", "203.0.112")
    assert subnetting.variables(tmp_path, "two", FILE, ()) == {}


def test_a_file_with_addresses_of_its_own_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text("services: {}\n")
    assert subnetting.variables(tmp_path, "two", file, ()) == {}


@pytest.mark.slow
def test_no_set_is_free(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no free subnets for a lab called two: each of 63 sets overlaps one in use"):
        subnetting.variables(tmp_path, "two", FILE, networks("198.18.0.0/16"))
