"""The zoo as a whole, certified by packets: one case a site, and the time that all of them took."""

from pathlib import Path

import pytest

from lab.certify.certificate import Certification, SiteCertificate
from lab.harness import Lab
from lab.topology import parse

SITES = parse(Path(__file__).parents[2] / "compose" / "zoo.yml").sites()
LIMIT_S = 600
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


@pytest.fixture(scope="session")
def certification(lab: Lab) -> Certification:
    """Of every site."""
    return lab.certify(say=print, follow=lambda progress: print(progress.ended or ""))


@pytest.fixture
def certificate(certification: Certification, site: str) -> SiteCertificate:
    return next(one for one in certification.sites if one.site == site)


@pytest.mark.parametrize("site", SITES)
def test_a_site_is_what_it_claims(certificate: SiteCertificate, site: str) -> None:
    assert certificate.disagreements() == ()
    assert certificate.to_json()["requirements"]


def test_all_of_them_take_less_than_ten_minutes(certification: Certification) -> None:
    assert {one.site for one in certification.sites} == set(SITES)
    assert certification.seconds < LIMIT_S
