"""What a program is started with: machines and their addresses, from the environment."""

import pytest

from lab.errors import ConfigError
from lab.node.roles import Settings


def settings(monkeypatch: pytest.MonkeyPatch, authority: str, supernodes: str) -> Settings:
    monkeypatch.setenv("LAB_AUTHORITY", authority)
    monkeypatch.setenv("LAB_SUPERNODES", supernodes)
    return Settings.from_environment()


def test_one_machine_may_have_an_address_of_each_family(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, "203.0.113.5|2001:db8:0:1::5", "203.0.113.11|2001:DB8:0:1::0011, 2001:db8:0:1::12")
    assert found.authority == ("203.0.113.5", "2001:db8:0:1::5")
    assert found.supernodes == (("203.0.113.11", "2001:db8:0:1::11"), ("2001:db8:0:1::12",))


def test_ipv4_alone_is_written_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, "203.0.113.5", "203.0.113.11,203.0.113.12")
    assert found.authority == ("203.0.113.5",)
    assert found.supernodes == (("203.0.113.11",), ("203.0.113.12",))


@pytest.mark.parametrize("text", ["supernode-1", "203.0.113.11:33033", "203.0.113.11|fe80::g"])
def test_what_is_no_address_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(ConfigError, match=r"LAB_SUPERNODES holds '.*', expected an IPv4 or IPv6 address"):
        settings(monkeypatch, "203.0.113.5", text)
