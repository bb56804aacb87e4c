"""The relay serves holders of a fresh token, forwards between two legs, and nothing else."""

import random
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.overlay.actions import LinkInfo, Write
from lab.overlay.identity import CREDENTIAL_LIFETIME, Identity, issue_credential, issue_token
from lab.overlay.relay import BIND_LIMIT, MOST_STANDBY_EACH, STANDBY_LIMIT, TOKEN_LONGEST, Bound, Relay
from lab.overlay.roster import TOKEN_LIFETIME
from lab.overlay.session import CALL_BURST, IDLE_LIMIT
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import RelayGrant
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.fakenet import WALL, FakeNet
from tests.unit.overlay.test_paths_in_memory import place

NEAR, FAR = ("203.0.113.32", 5000), ("203.0.113.33", 6000)


class Bench:
    """A relay alone, that knows no supernode; the authority's word for one of them travels with that one's tokens."""

    def __init__(self) -> None:
        net = FakeNet()
        self.authority = net.authority_key
        self.issuer = self.named("supernode-1")
        self.relay = Relay(net.membership("relay-1", "203.0.113.21"))
        self.now = net.now

    def named(self, name: str, wall: float = WALL) -> Identity:
        """Somebody to whom the authority has given that name then."""
        identity = Identity(name)
        identity.credential = issue_credential(self.authority, name, identity.public, wall)
        return identity

    def token(self, leg: int | None, **changes: object) -> bytes:
        expires = WALL + TOKEN_LIFETIME
        grant = {"call": "c1", "relay": "relay-1", "leg": leg, "expires": expires, **changes}
        return issue_token(self.issuer, RelayGrant(**grant))

    def say(self, source: tuple[str, int], data: bytes) -> list[tuple[tuple[str, int], bytes]]:
        self.relay.datagram(0, data, source, self.now)
        return [(a.address, a.data) for a in self.relay.actions.take() if hasattr(a, "address") and hasattr(a, "data")]

    def bind(self, source: tuple[str, int], token: bytes) -> StunMessage:
        request = StunMessage(Method.BIND, Kind.REQUEST, random.randbytes(12), token=token).encode()
        ((to, answer),) = self.say(source, request)
        assert to == source
        assert len(answer) <= len(request), "an answer longer than its request amplifies"
        return StunMessage.parse(answer)


def test_two_bound_legs_are_joined_both_ways() -> None:
    bench = Bench()
    assert bench.bind(NEAR, bench.token(0)).kind is Kind.SUCCESS
    assert bench.bind(FAR, bench.token(1)).kind is Kind.SUCCESS
    assert bench.say(NEAR, b"\x80there") == [(FAR, b"\x80there")]
    assert bench.say(FAR, b"\x80back") == [(NEAR, b"\x80back")]


def test_without_a_bind_nothing_comes_out() -> None:
    bench = Bench()
    assert bench.say(NEAR, b"\x80hello") == []
    bench.bind(NEAR, bench.token(0))
    assert bench.say(NEAR, b"\x80hello") == []
    assert bench.say(("203.0.113.99", 1), b"\x80hello") == []


def test_bad_tokens_are_refused_with_the_reason() -> None:
    bench = Bench()
    grant = RelayGrant("c1", "relay-1", 0, WALL + 60)
    stranger, thief = Identity("supernode-1"), Identity("supernode-1")
    stranger.credential = issue_credential(Ed25519PrivateKey.generate(), "supernode-1", stranger.public, WALL)
    thief.credential = bench.issuer.credential
    for token, why in (
        (issue_token(stranger, grant), "the credential of supernode-1 has a signature that does not fit"),
        (issue_token(thief, grant), "the token of supernode-1 has a signature that does not fit"),
        (issue_token(bench.named("late", WALL - CREDENTIAL_LIFETIME - 1), grant), "the credential of late has expired"),
        (bench.token(0, relay="relay-2"), "relay-2"),
        (bench.token(0, expires=WALL - 1), "expired"),
        (bench.token(0, expires=float("nan")), "the token names no time at which it expires"),
        (bench.token(0, expires=WALL + TOKEN_LONGEST + 1), "the token lives longer than 90 s"),
        (bench.token(None, expires=WALL + 1e9), "the token lives longer than 90 s"),
    ):
        request = StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=token).encode()
        ((_, answer),) = bench.say(NEAR, request)
        refusal = StunMessage.parse(answer)
        assert refusal.kind is Kind.ERROR
        assert refusal.error is not None and why in refusal.error[1]
    assert not bench.relay.sessions and not bench.relay.by_token and not bench.relay.by_address
    counted = bench.relay.actions.refusals.counted
    assert [times for reason, times in counted.items() if "lives longer" in reason] == [2]


def test_a_token_of_a_supernode_whose_clock_is_as_far_ahead_as_is_allowed_is_good() -> None:
    bench = Bench()
    assert bench.bind(NEAR, bench.token(0, expires=WALL + TOKEN_LONGEST)).kind is Kind.SUCCESS


@pytest.mark.slow
def test_of_a_thousand_supernodes_whoever_sends_clients_is_served_and_nothing_is_kept_of_them() -> None:
    bench = Bench()
    for number in range(1_000):
        issuer = bench.named(f"supernode-{number}")
        for leg, (host, port) in ((0, NEAR), (1, FAR)):
            grant = RelayGrant(f"c{number}", "relay-1", leg, WALL + TOKEN_LIFETIME)
            assert bench.bind((host, port + number), issue_token(issuer, grant)).kind is Kind.SUCCESS
        assert bench.say((NEAR[0], NEAR[1] + number), b"\x80x") == [((FAR[0], FAR[1] + number), b"\x80x")]
    bench.now += IDLE_LIMIT + 1
    bench.relay.poll(bench.now)
    assert not bench.relay.sessions and not bench.relay.by_token and not bench.relay.by_address


def test_one_issuer_alone_takes_half_of_a_relay_unless_the_relay_sits_there() -> None:
    bench = Bench()
    bench.relay.calls = 6

    def begins(call: str, issuer: Identity) -> bool:
        token = issue_token(issuer, RelayGrant(call, "relay-1", 0, WALL + TOKEN_LIFETIME))
        return bench.bind((NEAR[0], int(call)), token).kind is Kind.SUCCESS

    assert [begins(f"{number}", bench.issuer) for number in range(1, 5)] == [True, True, True, False]
    assert begins("5", bench.named("supernode-2"))
    bench.relay.hubs.built_in[0].at = SimpleNamespace(hub_name="supernode-1")  # type: ignore[assignment]
    assert begins("6", bench.issuer)


def test_connections_of_one_issuers_clients_take_half_of_the_places_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.overlay.relay.MOST_STANDBY", 4)
    bench, other = Bench(), Bench().named("supernode-2")
    other.credential = issue_credential(bench.authority, other.name, other.public, WALL)
    grants = [RelayGrant(f"client-{number}", "relay-1", None, WALL + TOKEN_LIFETIME) for number in range(4)]
    kinds = [Connection(bench, number).bind(issue_token(bench.issuer, grants[number])) for number in range(3)]
    assert kinds == [Kind.SUCCESS, Kind.SUCCESS, Kind.ERROR]
    assert Connection(bench, 3).bind(issue_token(other, grants[3])) is Kind.SUCCESS


class Connection:
    """A TCP connection to the relay of a bench."""

    def __init__(self, bench: Bench, number: int) -> None:
        self.bench, self.relay = bench, bench.relay
        info = LinkInfo(("203.0.113.21", 443), ("203.0.113.35", 40_000 + number))
        self.link = self.relay.accepted("relay", info, bench.now)

    @property
    def open(self) -> bool:
        return self.link in self.relay.streams

    def bind(self, token: bytes) -> Kind:
        request = StunMessage(Method.BIND, Kind.REQUEST, random.randbytes(12), token=token).encode()
        self.relay.link_data(self.link, frame(request, 2), self.bench.now)
        written = [action.data for action in self.relay.actions.take() if isinstance(action, Write)]
        (answer,) = LengthPrefixed(2, 4096).feed(written[-1])
        return StunMessage.parse(answer).kind


def test_a_connection_with_a_supernodes_word_waits_for_its_call_and_others_do_not() -> None:
    bench = Bench()
    waiting, stranger = Connection(bench, 1), Connection(bench, 2)
    word = bench.token(None, call="dave")
    assert waiting.bind(word) is Kind.SUCCESS
    bench.now += BIND_LIMIT
    bench.relay.poll(bench.now)
    assert waiting.open and not stranger.open
    for _ in range(20):  # beyond the life of the word, refreshed as clients do
        bench.now += 10
        assert waiting.bind(word) is Kind.SUCCESS
        bench.relay.poll(bench.now)
    assert not bench.relay.sessions
    expires = WALL + (bench.now - 100.0) + TOKEN_LIFETIME
    assert waiting.bind(bench.token(0, expires=expires)) is Kind.SUCCESS
    assert list(bench.relay.sessions) == ["c1"]


def test_one_that_waits_in_silence_is_closed() -> None:
    bench = Bench()
    waiting = Connection(bench, 1)
    waiting.bind(bench.token(None, call="dave"))
    bench.relay.poll(bench.now + STANDBY_LIMIT)
    assert not waiting.open


def test_a_client_has_few_places_to_wait_and_the_oldest_goes_first() -> None:
    bench = Bench()
    connections = [Connection(bench, number) for number in range(MOST_STANDBY_EACH + 1)]
    for connection in connections:
        assert connection.bind(bench.token(None, call="dave")) is Kind.SUCCESS
    assert [connection.open for connection in connections] == [False, *[True] * MOST_STANDBY_EACH]


def test_nobody_waits_with_an_old_word_nor_over_udp() -> None:
    bench = Bench()
    assert Connection(bench, 1).bind(bench.token(None, call="dave", expires=WALL - 1)) is Kind.ERROR
    assert bench.bind(NEAR, bench.token(None, call="dave")).kind is Kind.ERROR


def test_a_request_too_short_to_be_honest_gets_no_answer() -> None:
    assert Bench().say(NEAR, StunMessage(Method.BIND, Kind.REQUEST, bytes(12)).encode()) == []


def test_a_leg_may_move_to_another_address() -> None:
    bench = Bench()
    bench.bind(NEAR, bench.token(0))
    bench.bind(FAR, bench.token(1))
    elsewhere = ("203.0.113.40", 7000)
    bench.bind(elsewhere, bench.token(0))
    assert bench.say(FAR, b"\x80x") == [(elsewhere, b"\x80x")]
    assert bench.say(NEAR, b"\x80x") == []


def test_one_call_cannot_send_more_than_its_budget() -> None:
    bench = Bench()
    bench.bind(NEAR, bench.token(0))
    bench.bind(FAR, bench.token(1))
    packet = b"\x80" + bytes(999)
    through = sum(len(bench.say(NEAR, packet)) for _ in range(200))
    assert through == CALL_BURST // len(packet)
    bench.now += 1.0
    assert bench.say(NEAR, packet)


def test_an_idle_session_ends() -> None:
    bench = Bench()
    bench.bind(NEAR, bench.token(0))
    bench.relay.poll(bench.now + 60)
    assert not bench.relay.sessions
    assert not bench.relay.by_address


def test_udp_less_clients_bind_over_tcp(net: FakeNet) -> None:
    place(net, "dave", "erin")
    net.run(1)
    bound = {(event.leg, event.transport) for _, event in net.told("relay-1", Bound)}
    assert bound == {(0, "tcp"), (1, "tcp")}
