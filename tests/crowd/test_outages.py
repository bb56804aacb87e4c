"""Supernodes that go, one by one, most of them and all at once, in real containers: calls go on, clients come back in.

What happens to thousands of them is simulated (tests/unit/simulation).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sitting import ROOM, clients, dispensable, homes, said

from lab.harness import Lab
from lab.harness.changing import SiteChange
from tests.outages import STANDBY, through, within

pytestmark = pytest.mark.timeout(300)

SOON = 10.0
"""Seconds for which a client is away at the most while the others have room for it."""
UNREACHED_S = 60.0
"""Seconds after which nobody believes any more that somebody can be reached: two in a row have failed to, and each
promoted one has its turn within 15 s of the other."""
TALKERS = ("cone-pc", "home-pc")
"""Neither of whom can become a supernode."""


def at_once(lab: Lab, what: Iterable[Callable[[Lab], object]]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda act: act(Lab(lab.checkout.root)), what))


def test_one_that_nobody_reaches_any_more_is_a_client_again_and_its_own_call_does_not_notice(lab: Lab) -> None:
    hub = dispensable(lab)
    site = str(lab.running_world().topology.node(hub).site)
    sat = [name for name, home in homes(lab).items() if home == hub and name != hub]

    def shut(relay: str | None) -> None:
        lab.set(site, SiteChange(firewall="inbound-blocked"))
        assert within(UNREACHED_S, lambda: clients(lab)[hub].promoted is None), lab.status()

    try:
        survived = through(lab, (hub, "home-pc"), shut, UNREACHED_S + 10)
        assert survived.report.holds("direct/udp"), survived.report
        assert survived.late(STANDBY) is None, "what another firewall costs is all that it costs"
        (told,) = said(lab, hub, "demoted-from")[-1:]
        assert told["role"] == "supernode" and "reach" in str(told["reason"])
        for name in sat:
            silent = [line for line in said(lab, name, "supernode-silent") if float(str(line["at"])) > survived.begun]
            assert not silent, f"{name} was not handed over, and had to find out"
        assert hub not in homes(lab).values()
    finally:
        lab.set(site, SiteChange(firewall="none"))
    lab.settle()


def test_half_of_them_all_but_one_and_all_at_once_end_no_call(lab: Lab) -> None:
    promoted = sorted(name for name, node in clients(lab).items() if node.promoted == "supernode")
    hubs = ["supernode-1", *promoted]
    half = promoted[: len(hubs) // 2]
    others = [name for name in promoted if name not in half]
    assert half and set(TALKERS).isdisjoint(promoted)

    def filled(places: int, gone: list[str]) -> bool:
        """Whether as many sit somewhere as there are places."""
        now = {name: home for name, home in homes(lab).items() if name not in gone}
        sitting = [home for home in now.values() if home is not None and home not in gone]
        return len(sitting) >= min(places, len(now))

    def cascade(relay: str | None) -> None:
        at_once(lab, [lambda one, name=name: one.kill(name) for name in half])
        assert within(SOON, lambda: filled(ROOM * (len(hubs) - len(half)), half)), lab.status()
        at_once(lab, [lambda one, name=name: one.kill(name) for name in others])
        assert within(SOON, lambda: filled(ROOM, promoted)), lab.status()
        assert sum(home == "supernode-1" for home in homes(lab).values()) == ROOM, "it takes no more than it holds"
        restart = [lambda one, name=name: one.start(name) for name in promoted]
        at_once(lab, [*restart, lambda one: one.restart("supernode-1")])

    survived = through(lab, TALKERS, cascade, 45)
    assert survived.report.holds("punched/udp"), survived.report
    assert survived.late(STANDBY) is None, "four nodes that start at once take the processor, and nothing else is lost"
    lab.settle()
    assert within(SOON, lambda: None not in homes(lab).values()), "whoever is signed in may be told to move, not lost"
    report = lab.call("office-pc", "blocked-pc", seconds=2)
    assert report.holds(), report
