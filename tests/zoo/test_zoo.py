"""The zoo as a whole, certified by packets: one case a site, and the time that all of them took."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.certify.certificate import Certification, SiteCertificate
from lab.harness import Lab
from lab.topology import parse

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "compose" / "zoo.yml"
SITES = parse(ZOO).sites()
LIMIT_S = 600
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


@pytest.fixture(scope="session")
def certification() -> Iterator[Certification]:
    """Of every site; the zoo is up already, or comes up for this and goes again."""
    lab = Lab(ROOT)
    running = lab.world()
    if running is None or running.file != ZOO:
        lab.up(ZOO, print)
    yield lab.certify(say=print, follow=lambda progress: print(progress.ended or ""))
    if running is None:
        lab.down()


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
