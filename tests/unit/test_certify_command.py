"""`lab certify`: its exit status, one JSON document on standard output, and a refusal that names the sites."""

import json
import sys
from dataclasses import replace
from typing import Any

import pytest

import lab.harness
from lab import cli
from lab.certify.behaviour import Behaviour, Link, Outbound
from lab.certify.certificate import Certification, SiteCertificate, Verdict
from lab.certify.comparing import differences
from lab.errors import ConfigError

OUT = Outbound(udp=True, icmp=True, tcp_443="anything", tcp_80=True, tcp_other=True)
CLAIMED = Behaviour("endpoint-independent", "endpoint-independent", "preserving", True, 15.0, Link(), OUT)


def certified(measured: Behaviour) -> Certification:
    verdict = Verdict(CLAIMED, measured, differences(CLAIMED, measured, 1000), ())
    return Certification((SiteCertificate("home", "full-cone", "none", None, verdict, None, 20.0),), 21.0)


def run(monkeypatch: pytest.MonkeyPatch, found: Certification | Exception, *words: str) -> int:
    class FakeLab:
        def __init__(self, name: str | None) -> None:
            assert name is None

        def certify(self, sites: tuple[str, ...], say: Any, follow: Any) -> Certification:
            assert sites == tuple(word for word in words if word != "--json")
            if isinstance(found, Exception):
                raise found
            return found

    monkeypatch.delenv("LAB_NAME", raising=False)
    monkeypatch.setattr(lab.harness, "Lab", FakeLab)
    monkeypatch.setattr(sys, "argv", ["lab", "certify", *words])
    try:
        return cli.run()
    except SystemExit as left:
        return int(left.code or 0)


@pytest.mark.parametrize(("filtering", "status"), [("endpoint-independent", 0), ("address-dependent", 1)])
def test_a_site_that_is_not_what_it_claims_is_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], filtering: str, status: int
) -> None:
    found = certified(replace(CLAIMED, filtering=filtering))
    assert run(monkeypatch, found, "home", "--json") == status
    said = capsys.readouterr()
    assert json.loads(said.out) == json.loads(json.dumps(found.to_json()))
    assert json.loads(said.out)["sites"][0]["agrees"] is (status == 0)
    assert run(monkeypatch, found, "home") == status


def test_an_unknown_site_is_one_sentence_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, ConfigError("no site is called 'hom'; the lab has home"), "hom", "--json") == 2
    assert capsys.readouterr() == ("", "lab: no site is called 'hom'; the lab has home\n")
