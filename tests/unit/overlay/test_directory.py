"""One directory over all supernodes: where names are kept, found, believed, forgotten."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.errors import ProtocolError
from lab.overlay.directory import COPIES, LOOKUP_LIMIT, Directory
from lab.overlay.doorkeeper import LOCATIONS
from lab.overlay.identity import Identity, issue_credential
from lab.wire.messages import Absent, Credential, Found, Located, Location, Lookup, Message, Moved

WALL = 1_800_000_000.0
SEALING = bytes(range(32))
AUTHORITY = Ed25519PrivateKey.generate()
PUBLIC = AUTHORITY.public_key().public_bytes_raw()


@dataclass
class World:
    """Directories that tell one another things at once; `said` counts messages by kind."""

    directories: dict[str, Directory] = field(default_factory=dict)
    said: list[tuple[str, str, Message]] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    mute: set[str] = field(default_factory=set)

    def add(self, name: str) -> Directory:
        directory = Directory(
            name,
            PUBLIC,
            lambda to, message: self.tell(name, to, message),
            lambda client, wall: self.gone.append((name, client)),
        )
        others, self.directories[name] = list(self.directories.values()), directory
        for other in others:
            other.up(name)
            directory.up(other.own)
        return directory

    def kill(self, name: str, now: float = 0.0) -> None:
        del self.directories[name]
        for other in list(self.directories.values()):
            other.down(name, now)

    def tell(self, sender: str, to: str, message: Message) -> None:
        self.said.append((sender, to, message))
        directory = self.directories.get(to)
        if directory is None or to in self.mute or sender not in self.directories:
            return
        match message:
            case Located():
                directory.located(sender, message, WALL)
            case Absent(names):
                directory.absent(sender, names)
            case Moved():
                directory.moved(message, WALL)
            case Lookup(name):
                self.tell(to, sender, directory.asked(name))
            case Found():
                directory.found(sender, message, 0.0, WALL)

    def find(self, at: str, name: str, now: float = 0.0) -> list[str | None]:
        found: list[str | None] = []
        self.directories[at].find(name, now, lambda location, _: found.append(location and location.hub))
        return found


def person(name: str) -> Identity:
    identity = Identity(name)
    identity.credential = issue_credential(AUTHORITY, name, identity.public, WALL)
    return identity


def sits(identity: Identity, hub: str, at: float = WALL) -> Location:
    assert identity.credential is not None
    return Location(identity.credential, hub, at, SEALING, identity.locate(hub, at, SEALING))


@pytest.fixture
def world() -> World:
    world = World()
    for number in range(12):
        world.add(f"s{number}")
    return world


def test_a_name_resolves_from_every_supernode_in_one_hop(world: World) -> None:
    world.directories["s3"].sits_here(sits(person("bob"), "s3"))
    for at, directory in world.directories.items():
        assert world.find(at, "bob") == ["s3"]
        assert set(directory.hops) <= {0, 1}
    kept = [at for at, directory in world.directories.items() if "bob" in directory.kept]
    assert len(kept) == COPIES


@pytest.mark.slow
def test_so_it_does_in_a_mesh_of_a_thousand() -> None:
    world = World()
    for number in range(1_000):
        world.add(f"s{number}")
    for client in range(3):
        world.directories[f"s{client}"].sits_here(sits(person(f"client-{client}"), f"s{client}"))
    world.said.clear()
    for at, directory in world.directories.items():
        for client in range(3):
            assert world.find(at, f"client-{client}") == [f"s{client}"]
        assert set(directory.hops) <= {0, 1}
    asked = [message for _, _, message in world.said if isinstance(message, Lookup)]
    assert 0 < len(asked) <= 3 * COPIES * 1_000, "those that keep it, and nobody on the way"
    for client in range(3):
        kept = [at for at, directory in world.directories.items() if f"client-{client}" in directory.kept]
        assert len(kept) == COPIES


def test_what_was_found_is_not_asked_for_again_until_it_is_doubted(world: World) -> None:
    world.directories["s3"].sits_here(sits(person("bob"), "s3"))
    asker = next(at for at, directory in world.directories.items() if "bob" not in directory.kept and at != "s3")
    for doubted in (False, False, True):
        if doubted:
            world.directories[asker].doubt("bob")
        world.said.clear()
        assert world.find(asker, "bob") == ["s3"]
        asked = sum(isinstance(message, Lookup) for _, _, message in world.said)
        assert bool(asked) is (doubted or world.directories[asker].hops[0] == 0)


def test_a_location_survives_the_death_of_any_two_that_keep_it(world: World) -> None:
    for client in range(40):
        world.directories["s0"].sits_here(sits(person(f"c{client}"), "s0"))
    world.kill("s7")
    world.kill("s4")
    for client in range(40):
        assert world.find("s1", f"c{client}") == ["s0"], "with nobody told in between"
        assert sum(f"c{client}" in directory.kept for directory in world.directories.values()) == COPIES


def test_one_more_supernode_changes_who_keeps_few_names(world: World) -> None:
    for client in range(200):
        world.directories["s0"].sits_here(sits(person(f"c{client}"), "s0"))
    before = {name: set(world.directories["s0"].keepers(name)) for name in world.directories["s0"].mine}
    world.said.clear()
    world.add("s12")
    changed = [name for name, keepers in before.items() if set(world.directories["s0"].keepers(name)) != keepers]
    assert 200 * COPIES / 13 * 0.5 < len(changed) < 200 * COPIES / 13 * 1.6
    told = [location for _, _, message in world.said if isinstance(message, Located) for location in message.locations]
    assert sorted(location.credential.name for location in told) == sorted(changed)
    for name in changed:
        assert sum(name in directory.kept for directory in world.directories.values()) == COPIES


def test_who_has_left_is_nowhere(world: World) -> None:
    world.directories["s3"].sits_here(sits(person("bob"), "s3"))
    world.directories["s3"].has_left("bob")
    assert world.find("s5", "bob") == [None]
    assert not any(directory.kept for directory in world.directories.values())


def test_who_sat_at_a_supernode_that_died_is_nowhere_until_it_is_elsewhere(world: World) -> None:
    bob = person("bob")
    world.directories["s3"].sits_here(sits(bob, "s3"))
    world.kill("s3")
    assert world.find("s5", "bob") == [None]
    world.directories["s6"].sits_here(sits(bob, "s6", WALL + 1))
    assert world.find("s5", "bob") == ["s6"]


def test_who_signs_in_elsewhere_leaves_its_old_place_whoever_is_told_first(world: World) -> None:
    for number in range(20):
        one = person(f"c{number}")
        world.directories["s3"].sits_here(sits(one, "s3"))
        world.directories["s6"].sits_here(sits(one, "s6", WALL + 1))
        assert world.gone[-1] == ("s3", one.name)
        assert one.name not in world.directories["s3"].mine
        assert world.find("s5", one.name) == ["s6"]


def test_an_old_word_does_not_displace_a_newer_one(world: World) -> None:
    bob = person("bob")
    world.directories["s6"].sits_here(sits(bob, "s6", WALL + 1))
    world.directories["s3"].sits_here(sits(bob, "s3"))
    assert ("s3", "bob") in world.gone
    assert world.find("s5", "bob") == ["s6"]


@pytest.mark.parametrize("lie", ["another hub's", "not signed", "tomorrow's", "another authority's"])
def test_nobody_is_believed_where_a_client_has_not_said_so_itself(world: World, lie: str) -> None:
    bob = person("bob")
    location = sits(bob, "s3")
    match lie:
        case "another hub's":
            location = sits(bob, "s4")
        case "not signed":
            assert bob.credential is not None
            location = Location(bob.credential, "s3", WALL, SEALING, bytes(64))
        case "tomorrow's":
            location = sits(bob, "s3", WALL + 86_400)
        case "another authority's":
            bob.credential = issue_credential(Ed25519PrivateKey.generate(), "bob", bob.public, WALL)
            location = sits(bob, "s3")
    with pytest.raises(ProtocolError):
        world.directories["s1"].located("s3", Located((location,)), WALL)
    assert world.find("s1", "bob") == [None]


def test_nobody_tells_twice_of_a_client_in_one_message(world: World) -> None:
    bob, eve = person("bob"), person("eve")
    twice = (sits(bob, "s3"), sits(eve, "s3"), sits(bob, "s3", WALL + 1.0))
    with pytest.raises(ProtocolError, match="s3 tells twice of a client"):
        world.directories["s1"].located("s3", Located(twice), WALL)
    assert not world.directories["s1"].kept, "nothing of it is looked at"


@pytest.mark.parametrize(("supernodes", "clients", "deaths"), [(250, 400, 1), (250, 400, 125), (3, 5_000, 1)])
def test_what_supernodes_tell_one_another_where_some_die_and_come_back_is_within_what_each_may(
    supernodes: int, clients: int, deaths: int
) -> None:
    """The first is the simulator's largest; in the last each keeps all that the others have."""
    told: Counter[str] = Counter()
    most, names = 0, [f"s{number}" for number in range(1, supernodes)]

    def tell(to: str, message: Message) -> None:
        if isinstance(message, Located):
            told[to] += len(message.locations)

    directory = Directory("s0", PUBLIC, tell, lambda *gone: None)
    for name in names:
        directory.up(name)
    for number in range(clients):
        somebody = Credential(f"c{number}", bytes(32), 2_000_000_000.0, bytes(64))
        directory.sits_here(Location(somebody, "s0", WALL, SEALING, bytes(64)))
    for what in (directory.down, lambda name, _: directory.up(name)):
        told.clear()
        for name in names[:deaths]:
            what(name, 0.0)
        most = max(most, *told.values(), 0)
    assert 0 < most <= LOCATIONS.at_once / 5


def test_a_false_answer_is_no_answer_and_a_true_one_counts(world: World) -> None:
    world.directories["s3"].sits_here(sits(person("bob"), "s3"))
    asker = next(at for at, directory in world.directories.items() if "bob" not in directory.kept and at != "s3")
    keepers = world.directories[asker].keepers("bob")
    world.mute.update(keepers)
    found = world.find(asker, "bob")
    assert world.directories[asker].hops[1] == 0
    directory = world.directories[asker]
    with pytest.raises(ProtocolError):
        directory.found(keepers[0], Found("bob", sits(person("eve"), "s3")), 0.0, WALL)
    assert found == []
    directory.found(keepers[1], Found("bob", world.directories[keepers[1]].kept["bob"]), 0.0, WALL)
    assert found == []
    directory.found(keepers[2], Found("bob"), 0.0, WALL)
    assert found == ["s3"]


@pytest.mark.parametrize("silent", [0, 1])
def test_a_supernode_that_says_first_where_a_client_once_sat_draws_no_caller(world: World, silent: int) -> None:
    bob = person("bob")
    liar = world.directories["s0"].keepers("bob")[0]
    asker = next(at for at in world.directories if at not in world.directories["s0"].keepers("bob"))
    here = next(at for at in world.directories if at not in (liar, asker))
    old = sits(bob, liar, WALL - 1)
    world.directories[here].sits_here(sits(bob, here))
    directory = world.directories[asker]
    others = [keeper for keeper in directory.keepers("bob") if keeper != liar]
    world.mute.update([liar, *others])
    found = world.find(asker, "bob")
    directory.found(liar, Found("bob", old), 0.0, WALL)
    assert found == []
    for keeper in others[silent:]:
        directory.found(keeper, Found("bob", world.directories[keeper].asked("bob").location), 0.1, WALL)
    directory.poll(LOOKUP_LIMIT)
    assert found == [here]


def test_keepers_that_say_nothing_are_waited_for_no_longer_than_two_seconds(world: World) -> None:
    asker = "s0"
    world.mute.update(set(world.directories) - {asker})
    found = world.find(asker, "nobody", 10.0)
    directory = world.directories[asker]
    assert directory.deadline() == 10.0 + LOOKUP_LIMIT
    directory.poll(10.0 + LOOKUP_LIMIT)
    assert found == [None]
    assert directory.deadline() is None
