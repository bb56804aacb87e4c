"""Putting a root file system together: the mirror, the settings of apt that travel, the command."""

from pathlib import Path

import pytest

from lab.errors import RuntimeUnavailable
from lab.runtime import machine, rootfs

ROOT = Path(__file__).parents[3]


def test_the_list_of_packages_has_no_comments_and_no_doubles() -> None:
    found = rootfs.listed((ROOT / "images/base/packages.txt").read_text())
    assert "python3" in found
    assert all(name and "#" not in name and " " not in name for name in found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (
            "Debian|Debian|main|http://mirror/debian/\nDebian|Debian-Security|main|http://mirror/sec/\n",
            ["http://mirror/debian/"],
        ),
        ("||main|http://mirror/debian/\n||main|http://mirror/debian-security/\n", ["http://mirror/debian/"]),
        ("Vendor|Vendor|main|http://vendor/apt/\n", []),
        ("Debian|Debian|contrib|http://mirror/debian/\n", []),
        ("", []),
    ],
)
def test_the_mirror_is_the_main_archive_that_apt_uses(targets: str, expected: list[str]) -> None:
    assert list(rootfs.main_archive(targets)) == expected


@pytest.mark.parametrize(
    "setting",
    [
        'Acquire::http::Proxy "http://proxy:3128";',
        'Acquire::https::CaInfo "/ca.pem";',
        'Acquire::Check-Valid-Until "false";',
    ],
)
def test_settings_that_a_mirror_needs_travel(setting: str) -> None:
    assert rootfs.CARRIED.match(setting)


@pytest.mark.parametrize(
    "setting", ['Acquire::Languages "none";', 'Acquire::GzipIndexes "true";', 'Acquire::AllowInsecureRepositories "1";']
)
def test_other_settings_stay(setting: str) -> None:
    assert not rootfs.CARRIED.match(setting)


def test_the_command_names_packages_architecture_and_mirror() -> None:
    found = rootfs.command(["python3", "nftables"], "arm64", "http://mirror/debian", [])
    assert {"--include=python3,nftables", "--architectures=arm64"} <= set(found)
    assert found[-3:] == ["trixie", "-", "deb http://mirror/debian trixie main"]


def test_without_a_mirror_the_choice_is_left_to_mmdebstrap() -> None:
    assert rootfs.command(["python3"], "amd64", None, [])[-2:] == ["trixie", "-"]


def test_a_plain_user_without_mmdebstrap_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "as_root", lambda: None)
    monkeypatch.setattr(machine, "find", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(RuntimeUnavailable, match=r"sudo apt-get install mmdebstrap .* uidmap"):
        rootfs.ensure_tools(lambda line: None)


def test_installing_mmdebstrap_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "as_root", lambda: [])
    monkeypatch.setattr(machine, "find", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setenv("LAB_NO_INSTALL", "1")
    with pytest.raises(RuntimeUnavailable, match="mmdebstrap"):
        rootfs.ensure_tools(lambda line: None)


def test_without_apt_the_registry_is_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find", lambda name: None)
    with pytest.raises(RuntimeUnavailable, match="let Docker reach its registry"):
        rootfs.ensure_tools(lambda line: None)
