"""Ports that are foreseen or guessed through real routers: the call has left the relay soon, and the packets agree.

How often and how soon of many tries is no matter of one test; here each kind of pair comes about once.
"""

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange

PAIRS = {
    "told": ({"office": "symmetric-sequential"}, 3_000),
    "met": ({"office": "symmetric-sequential", "home": "symmetric-sequential"}, 3_000),
    "tried": ({"office": "symmetric", "home": "port-restricted-cone"}, 15_000),
}
"""Profiles of the sites, and milliseconds from the answer to the path: a busy machine's multiple of the usual time."""


@pytest.mark.parametrize(("profiles", "soon_ms"), PAIRS.values(), ids=PAIRS)
def test_two_hard_routers_are_got_through(lab: Lab, profiles: dict[str, str], soon_ms: int) -> None:
    for site, profile in profiles.items():
        lab.set(site, SiteChange(profile=profile))
    lab.settle()
    report = lab.call("bob", "carol", seconds=1)
    assert report.holds("punched/udp"), report
    setup = report.setup_ms
    assert setup.best_path is not None and setup.answered is not None
    assert setup.best_path - setup.answered < soon_ms, report.history
    assert all(media.lost == 0 for media in report.media.values()), "moving costs no frame"


@pytest.mark.parametrize("profile", ["full-cone", "restricted-cone"])
@pytest.mark.parametrize(("caller", "callee"), [("dave", "frank"), ("frank", "dave")])
def test_who_has_tcp_alone_out_of_ports_that_nobody_knows_is_let_in(
    lab: Lab, profile: str, caller: str, callee: str
) -> None:
    """Hotel is symmetric and lets no UDP out; flat's router lets it in, whatever port it comes from."""
    lab.set("flat", SiteChange(profile=profile))
    lab.restart("frank")  # who keeps its flows would look at its network anew after minutes only
    lab.settle()
    lab.find_out()
    report = lab.call(caller, callee, seconds=2)
    assert report.holds("punched/tcp"), report
    assert all(media.lost == 0 for media in report.media.values()), "moving costs no frame"
