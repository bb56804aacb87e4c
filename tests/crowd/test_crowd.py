"""Any client can become a supernode: in real containers, behind real routers and firewalls."""

import time
from collections import Counter

import pytest
from sitting import ROOM, clients, dispensable, homes, said

from lab.harness import Lab

OPEN = {"open-1-pc", "open-2-pc", "open-3-pc"}
BACK_S = 3.0 + 5.0
"""A silent death is noticed within three seconds and mended within five."""


def test_those_that_anybody_reaches_have_become_supernodes_and_nobody_else(lab: Lab) -> None:
    found = clients(lab)
    promoted = {name for name, node in found.items() if node.promoted}
    assert len(promoted) >= 2
    assert promoted <= OPEN
    assert {node.promoted for node in found.values()} == {None, "supernode"}
    sitting = Counter(node.supernode for node in found.values())
    assert None not in sitting and max(sitting.values()) <= ROOM
    assert any(name in promoted for name in sitting), "nobody sits at a promoted one"


def test_one_behind_a_firewall_was_measured_and_one_behind_a_router_not_even_that(lab: Lab) -> None:
    asked = {str(line["name"]) for hub in ("supernode-1", *OPEN) for line in said(lab, hub, "found-unfit")}
    began = {name for name in clients(lab) if said(lab, name, "asked-to-be")}
    assert began <= OPEN | {"blocked-pc"}
    for name in asked & {"blocked-pc"}:
        assert name in began


def test_a_name_resolves_from_whatever_supernode_to_whatever_other(lab: Lab) -> None:
    at = homes(lab)
    hubs = sorted({str(hub) for hub in at.values()})
    by_hub = {hub: sorted(name for name, home in at.items() if home == hub) for hub in hubs}
    for one, other in ((hubs[0], hubs[-1]), (hubs[-1], hubs[0])):
        report = lab.call(by_hub[one][0], by_hub[other][0], seconds=2)
        assert report.holds(), report


def test_a_promoted_one_that_dies_is_missed_for_seconds(lab: Lab) -> None:
    at = homes(lab)
    promoted = [name for name, node in clients(lab).items() if node.promoted]
    served = Counter(hub for name, hub in at.items() if hub in promoted and name != hub)
    victim = str(max(served, key=lambda hub: served[hub]))
    assert served[victim]
    lab.kill(victim)
    began = time.monotonic()
    others = [name for name in at if name != victim]
    while not all(homes(lab)[name] not in (None, victim) for name in others if at[name] != victim):
        assert time.monotonic() - began < BACK_S, "who did not sit there has lost its place"
    room = ROOM * len([name for name in promoted if name != victim]) + ROOM
    while True:
        now = homes(lab)
        away = [name for name in others if now[name] in (None, victim)]
        if len(away) <= max(0, len(others) - room):
            break
        assert time.monotonic() - began < BACK_S + 10, (away, now)
    lab.start(victim, say=print)
    lab.settle()


@pytest.mark.parametrize("node", ["open-1-pc", "supernode-1", "relay-1", "authority"])
def test_counters_are_read_without_an_open_port(lab: Lab, node: str) -> None:
    lines = lab.metrics(node).splitlines()
    assert "# TYPE lab_events_total counter" in lines
    assert all(f'node="{node}"' in line for line in lines if not line.startswith("#"))


def test_a_promoted_one_that_is_asked_to_end_hands_its_clients_over_first(lab: Lab) -> None:
    hub = dispensable(lab)
    sat = [name for name, home in homes(lab).items() if home == hub and name != hub]
    before = {name: len(said(lab, name, "signed-in")) for name in sat}
    lab.stop(hub)
    try:
        missed = [name for name in sat if said(lab, name, "supernode-silent")]
        assert missed == [], "they were told, and did not find out"
        moved = homes(lab)
        assert all(moved[name] not in (None, hub) for name in sat), moved
        assert all(len(said(lab, name, "signed-in")) > before[name] for name in sat)
    finally:
        lab.start(hub, say=print)
    lab.settle()
