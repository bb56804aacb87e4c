"""A name stays a node's own for as long as the node runs: renewed in time, seldom asked for, nobody is away for it."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lab.errors import ConfigError
from lab.overlay import enrolment, identity
from lab.overlay.actions import Connect, Rejected
from lab.overlay.call_events import Ended
from lab.overlay.enrolment import HURRY_EVERY, RETRY_MOST
from lab.overlay.hub import HubLink
from lab.overlay.identity import CREDENTIAL_LIFETIME, Identity
from lab.overlay.member import Member, NameEnrolled, SignedIn, SignedOut
from lab.overlay.seat import Left
from lab.overlay.wallclock import SetClock
from lab.wire.messages import Credential, Renewed
from tests.unit.overlay.fakenet import WALL, FakeNet, Host, Router
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place
from tests.unit.overlay.test_promotion import crowd, promoted
from tests.unit.overlay.test_survival import longest_gap

KEY = bytes(range(32))
"""Under which words could be sealed."""
DAY = 24 * 3600.0


class Plain(Member):
    """A member that does nothing but stay enrolled: a hundred days of it are a moment. `asked` is when it connected."""

    def __init__(self, net: FakeNet, name: str, address: str, credential: Credential | None = None) -> None:
        super().__init__(replace(net.membership(name, address), wall=SetClock(WALL - 100)))
        self.net, self.asked = net, list[float]()
        self.membership.identity.credential = credential
        take = self.actions.take

        def taken() -> list[object]:
            actions = take()
            self.asked += [net.now for action in actions if isinstance(action, Connect)]
            return actions

        self.actions.take = taken  # type: ignore[method-assign,assignment]

    def join(self, now: float) -> None:
        """There is nothing to sign in at."""

    def hub_links(self) -> Sequence[HubLink]:
        return ()

    def deadline(self) -> float | None:
        return self.enrolment.deadline()

    def poll(self, now: float) -> None:
        self.keep_enrolled(now)

    def holds(self) -> bool:
        return self.enrolment.left(self.net.now) > 0


def plain(net: FakeNet, count: int) -> list[Plain]:
    machines = [Plain(net, f"node-{number}", f"198.51.100.{10 + number}") for number in range(count)]
    for machine in machines:
        host = Host(machine.name, {4: machine.membership.own.addresses[0]}, machine, machine.membership.identity.public)
        net._add(host)
    return machines


def enrolled(net: FakeNet, machine: Member) -> list[tuple[float, Credential]]:
    return [(at, event.credential) for at, event in net.told(machine.name, NameEnrolled)]


@pytest.fixture
def world() -> tuple[FakeNet, list[Plain]]:
    net = FakeNet()
    net.authority()
    machines = plain(net, 20)
    net.run(5)
    assert all(machine.holds() for machine in machines)
    return net, machines


def test_a_hundred_days_with_the_authority_down_for_ten_of_them(world: tuple[FakeNet, list[Plain]]) -> None:
    net, machines = world
    began, authority = net.now, net.hosts["authority"]
    for day in range(1, 101):
        authority.alive = not 12 <= day < 22  # as the first renewals fall due
        net.run(began + day * DAY - net.now)
    for machine in machines:
        words = enrolled(net, machine)
        for (_, old), (at, new) in itertools.pairwise(words):
            assert at + WALL - 100 < old.expires, "it was never without"
            assert (new.name, new.key) == (old.name, old.key)
        assert machine.holds()
        assert 4 <= len(words) <= 12
        asked = [at for at in machine.asked if began + 12 * DAY <= at < began + 22 * DAY]
        assert len(asked) <= 10 * 8 * 3, "eight climbs a day, of three rungs, at the most"
    renewals = [enrolled(net, machine)[1][0] for machine in machines]
    assert len(set(renewals)) == len(renewals) and max(renewals) - min(renewals) > 5 * 3600


@pytest.mark.slow
def test_after_an_outage_that_outlived_credentials_all_are_back_soon_and_not_in_step(
    world: tuple[FakeNet, list[Plain]],
) -> None:
    net, machines = world
    net.hosts["authority"].alive = False
    net.run(CREDENTIAL_LIFETIME + DAY)
    assert not any(machine.holds() for machine in machines)
    hourly = [at for at in machines[0].asked if at >= net.now - 3600]
    assert 3 * 3600 / (RETRY_MOST + 10) <= len(hourly) <= 3 * 3600 / (RETRY_MOST / 2)
    net.hosts["authority"].alive = True
    back = net.now
    assert net.run(RETRY_MOST + 10, until=lambda: all(machine.holds() for machine in machines))
    times = sorted(enrolled(net, machine)[-1][0] - back for machine in machines)
    assert times[-1] - times[0] > RETRY_MOST / 4


def test_a_credential_that_a_node_starts_with_is_renewed_soon_where_little_is_left() -> None:
    net = FakeNet()
    net.authority()
    (machine,) = plain(net, 1)
    net.run(5)
    credential = machine.membership.identity.credential
    assert credential is not None
    net.run(20 * DAY - 1000)
    for left, soon in ((1.0, True), (CREDENTIAL_LIFETIME / DAY - 1, False)):
        again = Plain(net, "again", "198.51.100.99", replace_expiry(net, credential, left))
        again.start(net.now)
        due = again.deadline()
        assert due is not None
        assert (due - net.now <= enrolment.SOON) is soon


def replace_expiry(net: FakeNet, credential: Credential, days: float) -> Credential:
    return Credential(credential.name, credential.key, WALL - 100 + net.now + days * DAY, credential.signature)


def test_a_new_address_alone_is_no_reason_to_enrol(world: tuple[FakeNet, list[Plain]]) -> None:
    net, machines = world
    asked = len(machines[0].asked)
    net.move("node-0", ("198.51.100.200", None))
    net.run(60)
    assert len(machines[0].asked) == asked
    net.hosts["authority"].alive = False
    net.run(20 * DAY)
    net.hosts["authority"].alive = True
    net.move("node-0", ("198.51.100.201", None))
    assert net.run(3, until=lambda: len(enrolled(net, machines[0])) == 2), "there may be a way from here"


# -- whoever is signed in ----------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> float:
    """Credentials of a minute, for nodes that ping every second."""
    for module in (identity, enrolment):
        monkeypatch.setattr(module, "CREDENTIAL_LIFETIME", 60.0)
    monkeypatch.setattr(enrolment, "RENEW_AGAIN", 10.0)
    return 60.0


def small(clients: int = 2) -> FakeNet:
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    for number in range(clients):
        net.client(f"cone-{number}", f"192.168.{32 + number}.10", Router(f"203.0.113.{32 + number}"))
    assert net.run(10, until=lambda: all(hub(net, f"cone-{n}") for n in range(clients)))
    net.run(3)
    return net


def hub(net: FakeNet, name: str) -> str | None:
    return net.hosts[name].machine.hub.hub


def wall(net: FakeNet) -> float:
    return WALL - 100 + net.now


@pytest.mark.slow
def test_nobody_is_away_while_it_renews_and_a_call_does_not_notice(short: float) -> None:
    net, pair = small(), ("cone-0", "cone-1")
    id = place(net, *pair)
    began = net.now
    for turn in range(8):
        talk(net, id, pair, 25, first=turn * 1250)
        for number in (1, 2):
            supernode = net.hosts[f"supernode-{number}"].machine
            for seat in supernode.sessions.values():
                assert seat.expires > wall(net), f"{seat.name} has shown what it has"
            for location in (*supernode.directory.kept.values(), *supernode.directory.mine.values()):
                assert location.credential.expires > wall(net)
    nodes = (*pair, "supernode-1", "supernode-2", "relay-1")
    for name in nodes:
        assert len(net.told(name, NameEnrolled)) >= 5
        assert not net.told(name, SignedOut) and not net.told(name, Left)
    for name in pair:
        assert not net.told(name, Ended) and longest_gap(net, name, began + 1) < 0.1


@pytest.mark.slow
def test_a_promoted_one_shows_its_clients_fresh_credential_and_asks_for_none_itself(short: float) -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    name = promoted(net)[0]
    net.run(150)
    assert name in promoted(net)
    assert not net.told(f"{name}+", NameEnrolled) and net.hosts[f"{name}+"].machine.enrolment.deadline() is None
    seats = [seat for seat in net.hosts["supernode-1"].machine.sessions.values() if seat.name == name]
    assert seats and all(seat.expires > wall(net) for seat in seats)
    assert not net.told(name, SignedOut)


def test_an_expired_credential_is_refused_with_the_reason_and_its_client_enrols_first(short: float) -> None:
    net = small()
    net.hosts["authority"].alive = False
    assert net.run(2 * short, until=lambda: hub(net, "cone-0") is None)
    assert "the credential of cone-0 has expired" in net.told("cone-0", SignedOut)[-1][1].reason
    net.run(10)
    refused = len(net.told("supernode-1", Rejected)) + len(net.told("supernode-2", Rejected))
    net.run(60)
    assert len(net.told("supernode-1", Rejected)) + len(net.told("supernode-2", Rejected)) == refused, "nobody knocks"
    with pytest.raises(ConfigError, match="its credential has expired"):
        net.hosts["cone-0"].machine.dial("c1.x", "cone-1", net.now)
    for number in (1, 2):
        directory = net.hosts[f"supernode-{number}"].machine.directory
        assert not directory.mine and not directory.kept
    net.hosts["authority"].alive = True
    back = ("cone-0", "cone-1")
    assert net.run(RETRY_MOST + 20, until=lambda: all(hub(net, name) for name in back))
    net.run(2)
    place(net, *back)


def test_a_client_whose_clock_is_behind_believes_the_hub(short: float) -> None:
    net = small(0)
    host = net.client("late", "192.168.50.10", Router("203.0.113.50"))
    host.machine.membership.wall.offset = WALL - 100 - 25
    assert net.run(5, until=lambda: hub(net, "late") is not None)
    net.hosts["authority"].alive = False
    assert net.run(2 * short, until=lambda: hub(net, "late") is None)
    assert host.machine.enrolment.left(net.now) > 20, "by its own clock"
    net.hosts["authority"].alive = True
    assert net.run(12, until=lambda: hub(net, "late") is not None)


def test_a_hub_that_lies_about_it_has_a_client_enrol_once_a_minute_at_the_most() -> None:
    net = small(1)
    machine = net.hosts["cone-0"].machine
    for _ in range(20):
        machine.expired(machine.hub, net.now)
        net.settle(net.hosts["cone-0"])
        net.run(HURRY_EVERY / 10)
    assert len(net.told("cone-0", NameEnrolled)) in (2, 3)
    assert len(net.told("cone-0", SignedIn)) == 1


@pytest.mark.parametrize("whose", ["another name", "another key"])
def test_nobody_renews_with_what_is_another_s(whose: str) -> None:
    net = small()
    machine = net.hosts["cone-0"].machine
    at = wall(net)
    if whose == "another name":
        other = net.hosts["cone-1"].machine.membership.identity
        assert other.credential is not None
        said = Renewed(other.credential, at, other.locate(hub(net, "cone-0") or "", at, KEY), KEY)
    else:
        stranger = Identity("cone-0")
        credential = identity.issue_credential(net.authority_key, "cone-0", stranger.public, at)
        said = Renewed(credential, at, stranger.locate(hub(net, "cone-0") or "", at, KEY), KEY)
    sat_at = net.hosts[hub(net, "cone-0") or ""].machine
    machine.hub.send(said)
    net.settle(net.hosts["cone-0"])
    net.run(0.5)
    assert "shows another's credential" in net.told("cone-0", SignedOut)[-1][1].reason
    assert sat_at.actions.refusals.counted["cone-0 shows another's credential: that of " + said.credential.name] == 1


def test_who_is_let_in_with_what_was_old_by_then_shows_the_new_one() -> None:
    net = small(1)
    host = net.hosts["cone-0"]
    host.machine.hub._lost("told to by the test", net.now)
    net.settle(host)
    assert net.run(2, until=lambda: any(a.greeted for a in host.machine.hub.attempts.values()))
    mine = host.machine.membership.identity
    mine.credential = identity.issue_credential(net.authority_key, "cone-0", mine.public, wall(net) + DAY)
    net.run(2)
    seat = next(s for s in net.hosts[hub(net, "cone-0") or ""].machine.sessions.values() if s.name == "cone-0")
    assert seat.expires - wall(net) > CREDENTIAL_LIFETIME
