"""How a certification reads: claimed beside measured, what differs, and the requirements, within 100 columns."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from lab.certify.behaviour import Behaviour, Link, OneWay, Outbound
from lab.certify.certificate import Certification, SiteCertificate, Verdict
from lab.certify.comparing import differences
from lab.certify.requirements import Requirement
from lab.harness.certifying import Progress
from lab.report.certification import Certifying, certification
from lab.report.console import _THEME

WAY = OneWay(10.0, 0.0, 1500, False)
OUT = Outbound(True, True, "anything", True, True)
CLAIMED = Behaviour(
    "endpoint-independent", "endpoint-independent", "preserving", True, 15.0, Link(10.0, 0.0, WAY, WAY), OUT,
)  # fmt: skip
LIAR = replace(CLAIMED, filtering="address-and-port-dependent", hairpinning=False)
REQUIRED = (Requirement("RFC4787-REQ-1", True, "it is"), Requirement("RFC4787-REQ-9", False, "it does not"))


def site(name: str, measured: Behaviour) -> SiteCertificate:
    verdict = Verdict(CLAIMED, measured, differences(CLAIMED, measured, 1000), REQUIRED)
    return SiteCertificate(name, "full-cone", "none", None, verdict, None, 20.0)


def printed(*sites: SiteCertificate, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, theme=_THEME, highlight=False).print(certification(Certification(sites, 42.0)))
    return out.getvalue()


def test_several_sites_are_a_table_that_names_what_differs() -> None:
    text = printed(site("true-1", CLAIMED), site("liar-1", LIAR))
    assert "liar-1  filtering: claimed endpoint-independent, measured address-and-port-dependent" in text
    assert "not what is claimed: liar-1." in text
    (row,) = [line.split() for line in text.splitlines() if line.startswith("RFC4787-REQ-9")]
    assert row == ["RFC4787-REQ-9", "hairpinning", "-", "2", "full-cone"]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100


def test_a_cell_is_what_was_measured_and_where_it_differs_what_was_claimed() -> None:
    narrow = replace(CLAIMED.link, up=replace(WAY, mtu=1400, blackhole=True), down=replace(WAY, mtu=1400))
    lines = printed(site("true-1", CLAIMED), site("liar-1", replace(LIAR, link=narrow))).splitlines()
    (true,) = [line.split() for line in lines if "true-1" in line]
    assert true[-4:] == ["10.0", "0.0", "%", "1500"]
    whole = printed(site("true-1", CLAIMED), site("liar-1", LIAR))
    assert "MTU: 1500 bytes at each." in whole and "1500" not in whole.splitlines()[2]
    row = next(number for number, line in enumerate(lines) if line.split()[1:2] == ["liar-1"])
    assert lines[row].split()[-1] == "1400*/1400"
    assert [lines[row + below].split()[-1] for below in (1, 2)] == ["claimed", "1500"]
    assert any("One value in a cell: claimed and measured alike" in line for line in lines)


@pytest.mark.parametrize("others", [0, 1])
def test_a_site_that_could_not_be_measured_is_shown_with_the_reason(others: int) -> None:
    failed = SiteCertificate("cut-1", "linux", "none", None, None, None, 3.0, failure="the way was cut")
    text = printed(failed, *[site("true-1", CLAIMED)] * others)
    assert "not measured: the way was cut" in text
    assert not others or any(line.split()[:2] == ["no", "cut-1"] for line in text.splitlines())
    assert "not what is claimed: cut-1." in text


def test_one_site_is_shown_in_full() -> None:
    text = printed(site("liar-1", LIAR))
    (row,) = [line for line in text.splitlines() if line.startswith("filtering")]
    assert row.split() == ["filtering", "endpoint-independent", "address-and-port-dependent"]
    (row,) = [line.split() for line in text.splitlines() if line.startswith("RFC4787-REQ-9")]
    assert row == ["RFC4787-REQ-9", "hairpinning", "no", "it", "does", "not"]


def test_the_document_has_the_keys_that_it_promises() -> None:
    found = Certification((site("liar-1", LIAR),), 42.0).to_json()["sites"][0]
    assert (found["site"], found["profile"], found["firewall"], found["agrees"]) == (
        "liar-1",
        "full-cone",
        "none",
        False,
    )
    for side in ("claimed", "measured"):
        assert {"mapping", "filtering", "allocation", "hairpinning", "udp_timeout_s", "link"} <= set(found[side])
        assert found[side]["link"]["delay_ms"] == 10.0
    assert found["requirements"][0] == {"id": "RFC4787-REQ-1", "met": True, "seen": "it is"}


def test_a_site_with_both_families_has_ipv6_beside_ipv4_and_one_without_ipv4_has_it_above() -> None:
    both = replace(site("dual", CLAIMED), ipv6=site("dual", LIAR).ipv4)
    assert both.to_json()["measured"]["ipv6"]["hairpinning"] is False
    assert both.disagreements()[0].startswith("IPv6 filtering")
    alone = replace(both, ipv4=None)
    assert alone.to_json()["measured"]["hairpinning"] is False
    assert "ipv6" not in alone.to_json()["measured"]


@pytest.mark.parametrize("others", [0, 1])
def test_what_was_not_measured_is_said_of_a_site_that_agrees(others: int) -> None:
    noted = replace(site("flat", CLAIMED), notes=("not measured: toward home",))
    text = printed(noted, *[site("true-1", CLAIMED)] * others)
    assert "flat  not measured: toward home" in text and "measured as claimed." in text
    document = Certification((noted,), 1.0).to_json()["sites"][0]
    assert (document["agrees"], document["notes"]) == (True, ["not measured: toward home"])
    assert site("true-1", CLAIMED).to_json()["notes"] == []


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_a_line_a_site_where_nobody_watches(terminal: bool) -> None:
    out = io.StringIO()
    with Certifying(Console(file=out, force_terminal=terminal, theme=_THEME)) as shown:
        shown.follow(Progress(0, 2, ("home",), None))
        shown.follow(Progress(1, 2, ("office",), "home"))
    assert ("1 of 2: home\n" in out.getvalue()) is not terminal
