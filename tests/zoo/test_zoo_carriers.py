"""Two subscribers of one carrier: their packets are turned back where it hairpins, and where it does not they need the
relay."""

from collections.abc import Iterator

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange

pytestmark = pytest.mark.timeout(180)
NEIGHBOURS = ("mobile-1-pc", "mobile-2-pc")


@pytest.fixture
def without_hairpinning(lab: Lab) -> Iterator[Lab]:
    """The first carrier's router turns nothing back; afterwards it is as the file has it."""
    lab.set("carrier-1", SiteChange(axes="udp-timeout=30 hairpinning=no"))
    lab.settle()
    yield lab
    lab.set("carrier-1", SiteChange(axes="udp-timeout=30"))
    lab.settle()


@pytest.mark.parametrize("pair", [NEIGHBOURS, NEIGHBOURS[::-1]])
def test_a_carrier_that_hairpins_keeps_its_subscribers_voice(lab: Lab, pair: tuple[str, str]) -> None:
    assert lab.call(*pair, seconds=1).holds("punched/udp")


def test_without_hairpinning_subscribers_of_one_carrier_talk_by_the_relay(without_hairpinning: Lab) -> None:
    for pair in (NEIGHBOURS, NEIGHBOURS[::-1]):
        report = without_hairpinning.call(*pair, seconds=1)
        assert report.holds("relayed/udp"), report
    others = without_hairpinning.call("mobile-1-pc", "mobile-4-pc", seconds=1)
    assert others.holds("punched/udp"), others  # another carrier's are reached as ever
