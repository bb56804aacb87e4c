"""The daemon that gives ports: what it is told, and what is said when it does not start; a stand-in plays it."""

import sys
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from lab.boot import portmapping
from lab.boot.portmapping import PortMapping, settings
from lab.errors import RuntimeUnavailable
from lab.nat import PORT_MAPPINGS, Wiring, portmap

WIRING = Wiring("wan0", "lan0", IPv4Interface("203.0.113.32/24"), IPv4Interface("192.168.32.1/24"))
EVERY = PORT_MAPPINGS["on"]
SAYS = "import sys, time; print({!r}, file=sys.stderr); time.sleep(60)"
UPNP, NATPMP = "HTTP listening on port 5000", "Listening for NAT-PMP/PCP traffic on port 5351"
SERVES = SAYS.format(f"{UPNP}\n{NATPMP}")
FAILS = "import sys; sys.exit('bind(http): Address already in use')"


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What nft is given, in order."""
    texts: list[str] = []
    monkeypatch.setattr(portmapping, "SETTINGS", tmp_path / "miniupnpd.conf")
    monkeypatch.setattr(portmapping.rules, "feed", lambda command, text: texts.append(text))
    return texts


def plays(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(portmapping, "_COMMAND", (sys.executable, "-c", program))


def test_hosts_map_ports_to_themselves_alone_and_the_outer_address_is_told() -> None:
    told = settings(WIRING, "home", EVERY).splitlines()
    assert {"ext_ifname=wan0", "ext_ip=203.0.113.32", "listening_ip=lan0", "secure_mode=yes"} <= set(told)
    assert told[-2:] == ["allow 1024-65535 192.168.32.0/24 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535"]
    assert not any(line.startswith("lease_file") for line in told)


def test_it_serves_when_start_has_returned_and_loses_every_mapping_when_it_stops(
    fed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plays(monkeypatch, SERVES)
    mapping = PortMapping()
    mapping.start(WIRING, "home", EVERY)
    assert mapping.running
    mapping.stop()
    assert not mapping.running
    assert fed == [portmap.EMPTY, portmap.WITHOUT]


@pytest.mark.parametrize(("switch", "says"), [("upnp", UPNP), ("natpmp", NATPMP)])
def test_one_protocol_alone_is_offered_and_waited_for(
    fed: list[str], monkeypatch: pytest.MonkeyPatch, switch: str, says: str
) -> None:
    plays(monkeypatch, SAYS.format(says))
    mapping, offers = PortMapping(), PORT_MAPPINGS[switch]
    mapping.start(WIRING, "home", offers)
    assert mapping.offers == offers
    told = portmapping.SETTINGS.read_text().splitlines()
    assert {f"enable_{each}={'yes' if each == switch else 'no'}" for each in ("upnp", "natpmp")} <= set(told)
    mapping.stop()
    assert not mapping.offers


def test_one_that_does_not_start_is_told_in_its_own_words(fed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plays(monkeypatch, FAILS)
    mapping = PortMapping()
    with pytest.raises(RuntimeUnavailable, match=r"miniupnpd does not start: bind\(http\): Address already in use"):
        mapping.start(WIRING, "home", EVERY)
    assert not mapping.running


def test_its_end_is_not_overlooked_and_those_of_others_are_nothing(
    fed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plays(monkeypatch, SERVES)
    mapping = PortMapping()
    mapping.ended(1)
    mapping.start(WIRING, "home", EVERY)
    program = mapping._program
    assert program is not None
    mapping.ended(program.pid + 1)
    with pytest.raises(RuntimeUnavailable, match="miniupnpd has ended"):
        mapping.ended(program.pid)
    mapping.stop()
