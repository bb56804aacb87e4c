"""A network that cannot be measured, however it behaves, is said to be one, and not judged."""

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from lab.certify.asking import Severed
from lab.certify.claimed import Router, in_series, link_claim
from lab.errors import EvidenceError
from lab.harness import askable, certifying
from lab.harness.claiming import SiteClaim
from lab.links import Burst, Impairment, Link
from lab.nat import firewall, profile

pytestmark = pytest.mark.slow


def site(axes: str = "", policy: str = "none", up: Impairment | None = None, down: Impairment | None = None) -> Any:
    link = link_claim(Link(up or Impairment(delay=0.01), down or Impairment(delay=0.01)))
    router = Router("home-router", profile("port-restricted-cone", axes), firewall(policy))
    return SiteClaim("home", "port-restricted-cone", policy, None, (router,), link, (4,))


def why_not(claim: SiteClaim) -> str | None:
    """What keeps it from being measured; None where nothing does."""
    try:
        askable.check(claim, certifying._patience(claim))
    except EvidenceError as error:
        return str(error)
    return None


def short(axis: str, least: int) -> str:
    return f"home-router has {axis}, too short for what is asked of home; give it {least} or more"


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        ("", None),
        ("udp-timeout=3", None),
        ("udp-timeout=2", short("udp-timeout=2", 3)),
        ("udp-timeout=1", short("udp-timeout=1", 3)),
        ("udp-timeout=20 udp-timeout-one-way=2", short("udp-timeout-one-way=2", 3)),
        ("tcp-timeout=2", short("tcp-timeout=2", 3)),
        ("tcp-timeout=3 tcp-transitory-timeout=1", None),
    ],
)
def test_a_timer_that_is_over_before_it_is_asked_about_is_said_to_be(axes: str, why: str | None) -> None:
    assert why_not(site(axes)) == why


def test_a_timer_must_be_the_longer_the_longer_a_packet_may_take() -> None:
    lossy, narrow = Impairment(delay=0.01, loss=0.05), Impairment(delay=0.01, rate=48_000)
    assert why_not(site("udp-timeout=3", up=lossy)) == short("udp-timeout=3", 4)
    assert why_not(site("udp-timeout=4", down=narrow)) == short("udp-timeout=4", 5)
    assert why_not(site("udp-timeout=3", "udp-throttled")) == short("udp-timeout=3", 4)
    assert why_not(site("udp-timeout=10", up=Impairment(burst=Burst(0.02, 0.3)))) is None


def test_a_timer_that_nobody_asks_about_may_be_short() -> None:
    assert why_not(site("udp-timeout=2", "udp-blocked")) is None
    forwarded = Router("home-router", profile("open", "udp-timeout=2"), firewall("none"))
    assert why_not(replace(site(), routers=(forwarded,))) is None
    stateful = replace(forwarded, firewall=firewall("inbound-blocked"))
    assert why_not(replace(site(), routers=(stateful,), families=(6,))) == short("udp-timeout=2", 3)


def test_the_timer_of_a_carrier_counts_as_well() -> None:
    carrier = Router("carrier-router", profile("carrier-grade", "udp-timeout=2"), firewall("none"))
    claim = replace(site(), routers=(*site().routers, carrier))
    assert why_not(claim) == "carrier-router has udp-timeout=2, too short for what is asked of home; " + (
        "give it 3 or more"
    )


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize(("loss", "shown"), [(1.0, "100%"), (0.7, "70%"), (0.6, None), (0.3, None)])
def test_a_link_that_loses_nearly_everything_is_said_to(way: str, loss: float, shown: str | None) -> None:
    expected = shown and (
        f"the link of home loses {shown} of its packets on the way {way}, too many for a silence to say anything; "
        "give it 60% or less"
    )
    assert why_not(site(**{way: Impairment(loss=loss)})) == expected  # type: ignore[arg-type]


def test_losses_of_links_in_a_row_add_up() -> None:
    half = link_claim(Link(Impairment(loss=0.4), Impairment()))
    assert why_not(replace(site(), link=half)) is None
    assert "loses 64% of its packets" in str(why_not(replace(site(), link=in_series(half, half))))


def test_such_a_site_fails_alone_and_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def stand(*words: Any) -> None:
        raise Severed("asked")

    monkeypatch.setattr(certifying, "stand", stand)
    nothing: Any = None
    ones = site("udp-timeout=1"), site(up=Impairment(loss=1.0)), site()
    sites = [replace(one, site=name) for one, name in zip(ones, ("timer", "loss", "fine"), strict=True)]
    timer, loss, fine = certifying._all(nothing, Mock(), nothing, sites, lambda step: None)
    assert timer.failure == short("udp-timeout=1", 3).replace("of home", "of timer")
    assert str(loss.failure).startswith("the link of loss loses 100%")
    assert fine.failure == "asked"
