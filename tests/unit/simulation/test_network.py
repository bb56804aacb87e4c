"""The model internet: who answers a connection and when, what ends one, how late an alarm may be."""

from collections.abc import Callable

import pytest

from lab.overlay.actions import Event, LinkInfo, Machine
from lab.simulation.hosts import Host, Program
from lab.simulation.network import BACKLOG, DETOUR, SYN_AGAIN, Network

PORT = 97  # on the straight way: no detour
HERE, THERE = "203.0.113.1", "203.0.113.2"
DELAY = 0.05  # one way, of the two together


class Talker(Machine):
    """Writes down what happens to it, and does what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[float, object]] = []
        self.alarm: float | None = None
        self.polled: list[float] = []
        self.infos: list[LinkInfo] = []

    def start(self, now: float) -> None:
        pass

    def poll(self, now: float) -> None:
        self.polled.append(round(now, 6))
        self.alarm = None

    def deadline(self) -> float | None:
        return self.alarm

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        self.log.append((round(now, 6), f"accepted {listener}"))
        self.infos.append(info)
        return link

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        self.log.append((round(now, 6), "up"))
        self.infos.append(info)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        self.log.append((round(now, 6), data))

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.actions.links.pop(link, None)
        self.log.append((round(now, 6), reason))

    def udp_up(self, socket: int, local: tuple[str, int], now: float) -> None:
        self.log.append((round(now, 6), "udp up"))

    def datagram(self, socket: int, data: bytes, source: tuple[str, int], now: float) -> None:
        self.log.append((round(now, 6), (data, source)))


class Pair:
    """Two hosts and a program on each; the second one listens."""

    def __init__(self, own: str = HERE, handshake: float = 0.0) -> None:
        self.network = Network()
        opens = own == HERE
        self.hosts = [Host(HERE, own, 0.02, open=opens), Host(THERE, THERE, 0.03, handshake=handshake)]
        self.programs = [self.program(self.network.add(host)) for host in self.hosts]
        self.network.listen(self.programs[1], PORT, "plain", "secure")

    def program(self, host: Host) -> Program:
        program = Program(host, Talker(), b"key of " + host.address.encode(), lambda program, event: None)
        self.network.start(program)
        return program

    @property
    def machines(self) -> tuple[Talker, Talker]:
        one, other = (program.machine for program in self.programs)
        assert isinstance(one, Talker) and isinstance(other, Talker)
        return one, other

    def connect(self, port: int = PORT, secure: bool = False, host: str = THERE) -> int:
        machine = self.machines[0]
        link = machine.actions.connect(machine, (host, port), secure)
        self.network.settle(self.programs[0])
        return link

    def connected(self) -> tuple[int, int]:
        near = self.connect()
        self.network.run(self.network.now + 1.0)
        for machine in self.machines:
            machine.log.clear()
        return near, next(iter(self.programs[1].ends))

    def write(self, at: int, link: int, data: bytes) -> None:
        self.machines[at].actions.write(link, data)
        self.network.settle(self.programs[at])


@pytest.mark.parametrize(("secure", "up", "accepted"), [(False, 2, 3), (True, 4, 5)])
def test_a_connection_takes_its_round_trips(secure: bool, up: int, accepted: int) -> None:
    pair = Pair()
    pair.connect(secure=secure)
    pair.network.run(1.0)
    near, far = pair.machines
    assert near.log == [(pytest.approx(up * DELAY), "up")]
    assert far.log == [(pytest.approx(accepted * DELAY), "accepted " + ("secure" if secure else "plain"))]
    assert near.infos[0].peer_key == (b"key of " + THERE.encode() if secure else None)
    assert far.infos[0].secure is secure


def test_a_processor_does_one_handshake_after_the_other() -> None:
    pair = Pair(handshake=0.5)
    for _ in range(3):
        pair.connect(secure=True)
    pair.network.run(3.0)
    assert [at for at, _ in pair.machines[0].log] == pytest.approx([4 * DELAY + turn * 0.5 for turn in (1, 2, 3)])


def test_a_slow_client_holds_up_nobody_else_and_one_that_has_given_up_costs_nothing() -> None:
    pair = Pair(handshake=0.5)
    third = pair.network.add(Host("203.0.113.3", "203.0.113.3", 0.97))
    slow = pair.program(third)
    slow.machine.actions.connect(slow.machine, (THERE, PORT), True)
    gone = slow.machine.actions.connect(slow.machine, (THERE, PORT), True)
    pair.network.settle(slow)
    pair.network.run(1.1)
    slow.machine.actions.close(gone)
    pair.network.settle(slow)
    pair.connect(secure=True)
    pair.network.run(9.0)
    assert pair.machines[0].log == [(pytest.approx(1.1 + 4 * DELAY + 0.5), "up")]
    assert isinstance(slow.machine, Talker)
    assert slow.machine.log == [(pytest.approx(4 * 1.0 + 0.5), "up")]


def test_who_comes_when_too_many_wait_already_is_not_heard_and_asks_again() -> None:
    pair = Pair(handshake=0.02)
    for _ in range(BACKLOG + 50):
        pair.connect(secure=True)
    pair.network.run(0.5)
    for _ in range(20):
        pair.connect(secure=True)
    pair.network.run(9.0)
    ups = [at for at, _ in pair.machines[0].log]
    assert len(ups) == BACKLOG + 70
    assert sum(at < 4 * DELAY + (BACKLOG + 50) * 0.02 + 0.01 for at in ups) == BACKLOG + 50
    assert min(ups[-20:]) > 4 * DELAY + 0.5 + SYN_AGAIN[0]


def test_bytes_come_in_order_and_each_port_has_a_way_of_its_own() -> None:
    pair = Pair()
    pair.network.listen(pair.programs[1], PORT + 1, "plain")
    near, far = pair.connected()
    for word in (b"one", b"two"):
        pair.write(0, near, word)
    pair.write(1, far, b"three")
    pair.network.run(2.0)
    assert pair.machines[1].log == [(1 + DELAY, b"one"), (1 + DELAY, b"two")]
    assert pair.machines[0].log == [(1 + DELAY, b"three")]
    pair.connect(PORT + 1)
    pair.network.run(3.0)
    assert pair.machines[0].log[-1] == (pytest.approx(2 + 2 * (DELAY + DETOUR)), "up")


def test_where_nobody_listens_a_connection_is_refused() -> None:
    pair = Pair()
    pair.connect(port=PORT + 97)
    pair.network.run(10.0)
    assert pair.machines[0].log == [(pytest.approx(2 * DELAY), "connection refused")]


def gone(pair: Pair) -> None:
    pair.network.vanish(pair.hosts[1])


def closed_in(pair: Pair) -> None:
    pair.hosts[1].open = False


@pytest.mark.parametrize("cause", [gone, closed_in])
def test_who_is_gone_or_lets_nobody_in_says_nothing(cause: Callable[[Pair], None]) -> None:
    pair = Pair()
    cause(pair)
    pair.connect()
    pair.connect(host="203.0.113.99")
    pair.network.run(100.0)
    assert pair.machines[0].log == []


def test_who_stands_behind_a_nat_is_seen_under_its_outer_address() -> None:
    pair = Pair(own="192.168.1.10")
    pair.connect()
    pair.network.run(1.0)
    near, far = pair.machines
    assert near.infos[0].local[0] == "192.168.1.10"
    assert far.infos[0].peer[0] == HERE


def test_what_was_said_before_a_close_arrives_before_it() -> None:
    pair = Pair()
    near, _ = pair.connected()
    pair.machines[0].actions.write(near, b"last words")
    pair.machines[0].actions.close(near)
    pair.network.settle(pair.programs[0])
    pair.network.run(2.0)
    assert [what for _, what in pair.machines[1].log] == [b"last words", "closed by the other end"]
    assert pair.machines[0].log == []


def test_a_program_that_crashes_is_told_of_and_a_computer_that_is_gone_is_not() -> None:
    for end, told in ((lambda pair: pair.network.crash(pair.programs[1]), ["closed by the other end"]), (gone, [])):
        pair = Pair()
        pair.connected()
        end(pair)
        pair.network.run(100.0)
        assert [what for _, what in pair.machines[0].log] == told


def test_a_computer_that_is_back_knows_nothing_of_old_connections() -> None:
    pair = Pair()
    near, _ = pair.connected()
    gone(pair)
    pair.write(0, near, b"into the void")
    pair.network.run(5.0)
    assert pair.machines[0].log == []
    pair.network.revive(pair.hosts[1])
    pair.write(0, near, b"are you there?")
    pair.network.run(6.0)
    assert pair.machines[0].log == [(pytest.approx(5 + 2 * DELAY), "closed by the other end")]


def test_who_hung_up_before_it_was_accepted_leaves_no_connection_behind() -> None:
    pair = Pair()
    link = pair.connect()
    pair.network.run(2 * DELAY + 0.01)
    pair.machines[0].actions.close(link)
    pair.network.settle(pair.programs[0])
    pair.network.run(2.0)
    assert pair.machines[1].log[-1][1] == "closed by the other end"
    assert not pair.programs[0].ends and not pair.programs[1].ends


@pytest.mark.parametrize(
    ("after", "told"), [(1.5, ["connection refused"]), (2.5, ["up", "closed by the other end"])], ids=["SYN", "accept"]
)
@pytest.mark.parametrize("silent", [False, True])
def test_a_program_that_ends_while_somebody_connects(silent: bool, after: float, told: list[str]) -> None:
    pair = Pair()
    pair.connect()
    pair.network.run(after * DELAY)
    if silent:
        pair.network.vanish(pair.hosts[1])
    else:
        pair.network.crash(pair.programs[1])
    pair.network.run(60.0)
    assert [what for _, what in pair.machines[0].log] == ([what for what in told if what == "up"] if silent else told)


def test_an_alarm_that_is_put_off_or_brought_forward_rings_when_it_is_due() -> None:
    pair = Pair()
    machine = pair.machines[0]
    for alarm in (5.0, 7.0, 3.0):
        machine.alarm = alarm
        pair.network.settle(pair.programs[0])
    pair.network.run(10.0)
    assert machine.polled == [3.0]
    machine.alarm = 12.0
    pair.network.settle(pair.programs[0])
    machine.alarm = 15.0
    pair.network.settle(pair.programs[0])
    pair.network.run(20.0)
    assert machine.polled == [3.0, 15.0]


@pytest.mark.parametrize("asked", [True, False])
def test_a_datagram_comes_in_behind_a_nat_only_as_an_answer(asked: bool) -> None:
    pair = Pair(own="192.168.1.10")
    near, far = pair.machines
    sockets = [machine.actions.open_udp(machine) for machine in (near, far)]  # type: ignore[arg-type]
    for program in pair.programs:
        pair.network.settle(program)
    pair.network.run(1.0)
    ports = [program.sockets[socket] for program, socket in zip(pair.programs, sockets, strict=True)]
    if asked:
        near.actions.send_to(sockets[0], (THERE, ports[1]), b"who am I?")
        pair.network.settle(pair.programs[0])
    pair.network.run(2.0)
    far.actions.send_to(sockets[1], (HERE, ports[0]), b"you")
    pair.network.settle(pair.programs[1])
    pair.network.run(3.0)
    heard = [what for _, what in near.log if what != "udp up"]
    assert heard == [(b"you", (THERE, ports[1]))] * asked
    assert [what for _, what in far.log if what != "udp up"] == [(b"who am I?", (HERE, ports[0]))] * asked


def test_a_program_may_begin_to_listen_later_and_two_run_on_one_host() -> None:
    pair = Pair()
    second = pair.program(pair.hosts[1])
    pair.connect(port=2 * PORT)
    pair.network.run(1.0)
    pair.network.listen(second, 2 * PORT, "late")
    pair.connect(port=2 * PORT)
    pair.network.run(2.0)
    assert isinstance(second.machine, Talker)
    assert [what for _, what in second.machine.log] == ["accepted late"]
    pair.network.crash(second)
    pair.connect()
    pair.network.run(3.0)
    assert pair.machines[1].log[-1][1] == "accepted plain", "the other program runs on"


def test_what_a_machine_tells_gets_to_its_program() -> None:
    pair = Pair()
    heard: list[Event] = []
    pair.programs[0].told = lambda program, event: heard.append(event)
    pair.machines[0].actions.emit(Event())
    pair.network.settle(pair.programs[0])
    assert heard == [Event()]
