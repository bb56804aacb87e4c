"""What the doctor says of machines in different states of health."""

from pathlib import Path

import pytest

from lab.errors import RuntimeUnavailable
from lab.harness import doctor
from lab.harness.checkout import Checkout
from lab.runtime.features import FEATURES, Tried
from lab.runtime.inventory import Inventory

ROOT = Path(__file__).parents[3]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine on which all is well; tests break one thing each."""
    monkeypatch.setattr(doctor, "connect", lambda: None)
    monkeypatch.setattr(doctor, "inventory", lambda engine: Inventory("28.2.2+dfsg1", Path("/"), True))
    monkeypatch.setattr(doctor, "compose_command", lambda: ["docker", "compose"])
    monkeypatch.setattr(doctor, "subnets_in_use", lambda engine, name: {})
    monkeypatch.setattr(doctor, "NEEDED_DISK", 1)
    monkeypatch.setattr(doctor, "try_features", lambda engine: [Tried(one, True, "") for one in FEATURES])
    return monkeypatch


def diagnose() -> doctor.Diagnosis:
    return doctor.diagnose(Checkout(ROOT), "lab", lambda what: None)


def wrong(found: doctor.Diagnosis) -> list[str]:
    return [check.name for check in found.checks if check.ok is not True]


def test_a_healthy_machine(machine: pytest.MonkeyPatch) -> None:
    found = diagnose()
    assert found.healthy and wrong(found) == []
    assert found.to_json()["checks"][0]["name"] == "Docker Engine"


def test_nothing_else_is_asked_of_an_engine_that_does_not_answer(machine: pytest.MonkeyPatch) -> None:
    def nobody() -> None:
        raise RuntimeUnavailable("no Docker Engine answers")

    machine.setattr(doctor, "connect", nobody)
    found = diagnose()
    assert not found.healthy and [check.seen for check in found.checks] == ["no Docker Engine answers"]


def test_an_old_engine_is_refused(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(doctor, "inventory", lambda engine: Inventory("19.03.15", Path("/"), True))
    assert not diagnose().healthy and wrong(diagnose()) == ["Docker Engine"]


def test_how_links_are_made_is_told(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(doctor, "try_features", lambda engine: [Tried(one, True, "by netem") for one in FEATURES])
    seen = {check.name: check.seen for check in diagnose().checks}
    assert seen["delay, loss and rate of links"] == "by netem"
    assert seen["connection tracking"] == "works"


def test_without_a_netfilter_queue_a_machine_is_healthy_and_has_no_lines_behind_carriers(
    machine: pytest.MonkeyPatch,
) -> None:
    lines = "lines of sites behind carriers"
    machine.setattr(doctor, "try_features", lambda engine: [Tried(one, one.name != lines, "none") for one in FEATURES])
    found = diagnose()
    assert found.healthy and wrong(found) == [lines]
    (check,) = [check for check in found.checks if check.name == lines]
    assert "modprobe xt_NFQUEUE nfnetlink_queue" in check.mend and "leave LAB_LINKS away at carriers" in check.mend


def test_what_is_missing_says_how_to_have_it(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(doctor, "try_features", lambda engine: [Tried(one, False, "unknown") for one in FEATURES])
    found = diagnose()
    assert not found.healthy and wrong(found)
    assert all(check.mend for check in found.checks if check.ok is False)


def test_what_is_required_may_not(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(doctor, "try_features", lambda engine: [Tried(one, False, "unknown") for one in FEATURES])
    assert not diagnose().healthy


def test_subnets_that_are_taken_are_named(machine: pytest.MonkeyPatch) -> None:
    from ipaddress import IPv4Network

    machine.setattr(doctor, "subnets_in_use", lambda engine, name: {IPv4Network("192.168.32.0/20"): "eth0"})
    found = diagnose()
    assert not found.healthy and wrong(found) == ["subnets are free"]
    assert "192.168.32.0/20" in next(check.seen for check in found.checks if check.name == "subnets are free")


def test_before_the_images_are_built_features_are_unknown_not_wrong(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(doctor, "inventory", lambda engine: Inventory("28.2.2", Path("/"), False))
    found = diagnose()
    assert found.healthy and wrong(found) == ["kernel features"]
