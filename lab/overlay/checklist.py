"""The checklist of one call (RFC 8445): which paths are tried, in what order, which work, and which one is used.

Every way to the peer is a Path: a UDP pair, a TCP connection, a relay session. All are proven by the same connectivity
check from end to end, kept fresh in the same way (RFC 7675), ranked by one table and nominated by the caller.
"""

import random
from collections.abc import Sequence

from lab.overlay import priority
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.checks import Checks, Word
from lab.overlay.choice import CONSENT, Choice, Consequences
from lab.overlay.courtesy import Courtesy, Manners
from lab.overlay.demotions import tell
from lab.overlay.guessing import Guessing, Means
from lab.overlay.holding import Holding
from lab.overlay.leg import RelayLeg
from lab.overlay.loss import CLEAN
from lab.overlay.passage import Passage
from lab.overlay.paths import (
    RANK,
    Key,
    Kind,
    Path,
    State,
    TcpCarrier,
    Transport,
    UdpCarrier,
    Why,
    is_local,
    on_one_network,
    usable,
)
from lab.overlay.reflexive import MediaSocket
from lab.overlay.remote import Remote
from lab.overlay.reports import Reports, Verdict
from lab.overlay.tcp_checks import TCP_HEADSTART, Streams, TcpChecks
from lab.overlay.vigil import STORM
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address
from lab.wire.framing import LengthPrefixed
from lab.wire.messages import Candidate, Network
from lab.wire.stun import Kind as StunKind
from lab.wire.stun import StunMessage, is_stun

PACING = 0.02
"""Ta: seconds between two new checks. RFC 8445, 14.2 recommends 50 ms and allows down to 5 ms."""
RETRIES = (0.1, 0.1, 0.2, 0.2, 0.4, 0.4, 0.5)
"""Seconds between checks of a path that has not answered; the last one repeats until GIVE_UP.

RFC 8445, 14.3 begins at 500 ms, to spare a network that is congested. Here that would cost what is promised: two
routers let checks in only once one has gone out of each, so the first is lost by design and the path waits for the
second, and a call has to be off the relay within a second of the answer. What RFC 8445 spares is spared by Ta, which
bounds all checks together, and by bounds for each host (courtesy.py)."""
GIVE_UP = 6.0
"""Seconds after the first check at which a path without an answer fails."""
STANDBY = 2.0
"""Seconds between checks of a valid path that is not in use (choice.py has those of the one that is). Voice may need it
at any moment: so often keeps any router's mapping alive, and has nothing to learn from it. On hold see holding.py."""
DEAD_AFTER = 2.0
"""Seconds without an answer after which a path in use is given up; RFC 7675 allows up to 30."""
STANDBY_DEAD_AFTER = 7.0
CONSENT_ENDS = 25.0
"""Seconds in which a path is checked and nothing answers, whatever else comes over it, after which consent to send is
gone: RFC 7675, 5.1 allows 30 since the last answer, and the first of these checks may come STANDBY later."""
REVIVE, REVIVE_SHARE, REVIVE_MOST = 2.0, 0.1, 8.0
"""Seconds between checks of a path between the two that has worked and does no longer, for its network may recover: at
first, as a share of its silence, or of the time since the path in use was in doubt, and at the most. Routers were seen
to forget mappings after 10 s of no answer, some are found to sooner (lifetime.py), and a path whose ports were guessed
is not found again once one has."""
PRESSED = 0.5
"""The same of every path that has worked, while nothing of the peer comes."""
MOST_MET = 50
"""Addresses at which the peer has been met and has not answered: as many as of its candidates (remote.py)."""
FIRST_TRIES = 5
"""Checks, a second's worth, after which a path that has not answered is not waited for."""


class Checklist:
    """All paths of one call, from one side. The caller is the controlling end (RFC 8445, 6.1.1)."""

    def __init__(
        self,
        actions: Actions,
        call: str,
        controlling: bool,
        media: MediaSocket,
        own: Whereabouts,
        rng: random.Random,
        reports: Reports,
        passage: Passage,
        courtesy: Courtesy,
    ) -> None:
        self.actions, self.call, self.controlling, self.media = actions, call, controlling, media
        self.own, self.rng, self.reports, self.passage = own, rng, reports, passage
        self.peer_network, self.narrow = Network(), False
        self.manners = Manners(courtesy)
        self.checks = Checks(call, controlling, rng)
        self.paths: dict[Key, Path] = {}
        self.remote = Remote()
        self.legs: list[RelayLeg] = []
        self.choice = Choice(
            self.paths, controlling, Consequences(reports.moved, self.poll, self._went_lossy, self._went_silent)
        )
        streams = Streams(
            self._add_tcp,
            self._frame,
            self._tcp_lost,
            self.choice.between,
            self._tcp_tried,
            self._tcp_silent,
            self.choice.unheard,
            self.manners.syn,
        )
        self.tcp = TcpChecks(actions, own, passage, streams)
        means = Means(
            self._may_check,
            self.checks.guess,
            self._udp_between,
            self._in_use,
            self.datagram,
            reports.tell,
            self._guesses,
            self.manners.knows,
            self.manners.guess,
            self.manners.share,
        )
        self.guessing = Guessing(actions, media, rng, means)
        self.next_slot = self.shaken = 0.0
        self.finished = self.peer_finished = False
        self.holding = Holding(self._held)
        self.closed = False

    # -- what is known ------------------------------------------------------------------------------------------

    @property
    def key(self) -> bytes | None:
        """The key of the checks, once it is known."""
        return self.checks.key

    @property
    def selected(self) -> Path | None:
        """The path in use."""
        return self.choice.selected

    def unlock(self, key: bytes, now: float) -> None:
        """The key of the checks is known: they may begin."""
        self.checks.key = key
        self.poll(now)

    def meet(self, own: Network, peer: Network, now: float) -> None:
        """What both sides have told each other of their networks."""
        if peer != self.peer_network != Network():
            self._doubt(now)
        self.peer_network, self.narrow = peer, own.narrow or peer.narrow
        for path in self.paths.values():
            path.expect_leg(peer.udp)
            path.expect_voice(not self.narrow)
        self.guessing.meet(own, peer, self.controlling, now)

    def _doubt(self, now: float) -> None:
        """The peer's network is another than it has told before: what led there over UDP is to answer again."""
        for path in self.paths.values():
            if path.state is State.VALID and path.key[0] == "udp":
                path.doubted, path.next_check, path.tries = True, now, 0

    def add_remote(self, candidates: Sequence[Candidate], now: float) -> None:
        """The peer's candidates, signed by it; more may follow."""
        self.guessing.learn(candidates, now)
        candidates = self.remote.learn(candidates, now)
        listening: list[Address] = []
        for candidate in usable(candidates, self.own):
            if candidate.transport == "udp":
                self._add_udp(candidate.address, now, kind=candidate.kind)
            elif candidate.tcp_type == "simultaneous-open":
                self.tcp.meet([candidate.address], now)
            elif self._tcp_may_reach(candidate.address[0]):
                listening.append(candidate.address)
        self._make_room()
        self.tcp.add(listening, self.passage.lets_udp_out(self.media, now) is False, now)

    def _make_room(self) -> None:
        """Forgets candidates that no working path leads to, and the paths to them that have never worked."""
        works = {path.remote for path in self.paths.values() if path.state is State.VALID}
        for candidate in self.remote.make_room(works):
            path = self.paths.get(key := ("udp", (self.media.socket, candidate.address)))
            if path is not None and path.rtt is None:
                del self.paths[key]

    def add_leg(self, leg: RelayLeg, now: float) -> None:
        """A relay session whose near leg is being bound."""
        key = ("relay", leg.offer.relay)
        self.legs.append(leg)
        path = self.paths[key] = Path(key, leg, leg.udp_address, leg.offer.relay, now)
        path.priority = self._priority("relayed", "relayed", leg.udp_address)
        path.expect_leg(self.peer_network.udp)

    def drop_leg(self, leg: RelayLeg) -> None:
        """A relay session that is over, and carries nothing."""
        self.legs.remove(leg)
        self.paths.pop(("relay", leg.offer.relay), None)

    def turned(self, leg: RelayLeg, now: float) -> None:
        """A relay is about to end, or is there to stay after all."""
        path = self.paths.get(("relay", leg.offer.relay))
        if path is not None and leg.leaving:
            path.demoted = (Why.LEAVING, None, path.label)
        self.choice.choose(now)

    def _add_udp(self, remote: Address, now: float, socket: int | None = None, kind: str = "peer-reflexive") -> Path:
        """A path from the media socket, or from another of the call's, to a candidate of a kind."""
        socket = self.media.socket if socket is None else socket
        key = ("udp", (socket, remote))
        if key not in self.paths:
            carrier = UdpCarrier(self.actions, socket, remote)
            self.paths[key] = Path(key, carrier, remote, None, now, priority=self._priority("host", kind, remote))
            self.paths[key].expect_voice(not self.narrow)
        return self.paths[key]

    def _priority(self, own: str, peers: str, remote: Address) -> int:
        """Of a pair of candidates by their kinds: what is sent from is a base (RFC 8445, 6.1.2.4)."""
        mine, theirs = (priority.candidate(kind, remote[0]) for kind in (own, peers))
        return priority.pair(mine, theirs) if self.controlling else priority.pair(theirs, mine)

    def _tcp_may_reach(self, host: str) -> bool:
        mine = {address[0] for address in (*self.media.reflexive, *(self.tcp.port.reflexive if self.tcp.port else ()))}
        same_site = mine & self.remote.reflexive or any(on_one_network(host, own) for own in self.own.addresses)
        return not is_local(host) or bool(same_site)

    def restart(self, now: float) -> None:
        """This end stands elsewhere (RFC 8445, 2.4, within the same keys): what worked may work no more, and what did
        not may work now. Connections from addresses that are gone are closed; voice waits for the first path to answer.
        """
        self.manners.moved()
        self.tcp.restart(now)
        self.guessing.restart(now)
        for path in self.paths.values():
            if path.key[0] == "udp" and not self.own.reachable([path.remote[0]]):
                path.state = State.FAILED
            elif path.key[0] != "tcp":
                path.state, path.first_check, path.tries, path.next_check = State.IN_PROGRESS, None, 0, now
                path.rtt, path.nominating = None, False
        self.choice.begin_anew(now)
        self.add_remote(tuple(self.remote), now)
        self.poll(now)

    def recheck(self, now: float) -> None:
        """Every way out may be another: all are checked at once, those that had failed from the start."""
        for path in self.paths.values():
            path.next_check = now
            if path.key[0] != "tcp" and path.state is State.FAILED and self.own.reachable([path.remote[0]]):
                path.state, path.first_check, path.tries = State.IN_PROGRESS, None, 0
        self.poll(now)

    # -- time ----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        if self.closed:
            return None
        checks: float | None = None
        if self.key is not None:
            checks = earliest(*(path.next_check for path in self._checkable()))
            checks = None if checks is None else max(checks, self.next_slot)
        turned = 0.0 if any(path.turned for path in self.paths.values()) else None
        unbound = (path.last_answer + DEAD_AFTER for path in self._unbound())
        return earliest(checks, turned, *unbound, self.tcp.deadline(), self.choice.deadline(), self.guessing.deadline())

    def poll(self, now: float) -> None:
        if self.closed:
            return
        self.tcp.poll(now)
        tell(self.paths.values(), self.reports)
        for path in self.paths.values():
            if path.turned:  # what it is now has to be found out, and told
                if path.carried is Transport.UDP and self.guessing.under_way:
                    self.passage.throttles(now)  # where guesses drown a relay's leg, UDP is too narrow for voice
                path.carried, path.next_check = path.carrier.transport, now
        for path in self._unbound():
            if now >= path.last_answer + DEAD_AFTER:
                self._fail(path, now)
        if self.passage.lets_udp_out(self.media, now) is False:
            self.guessing.give_up(now)
        self.guessing.poll(now)
        self.choice.poll(now)
        self._watch(now)
        self._note_finish(now)
        if self.key is None or now < self.next_slot:
            return
        due = [path for path in self._checkable() if now >= path.next_check]
        if due:
            self._visit(min(due, key=self._turn), now)
            self.next_slot = now + PACING

    def _turn(self, path: Path) -> tuple[bool, float, int]:
        """Whose turn comes first: a path that decides where voice goes (the one in use, one that is being nominated,
        one that the other end has nominated and that is not known to work), one that is due longer, and of those never
        checked the one of the highest priority (RFC 8445, 6.1.4.2)."""
        decides = path is self.selected or path.nominating or (path.nominated and path.state is not State.VALID)
        return not decides, path.next_check, 0 if path.tries else -path.priority

    def _checkable(self) -> list[Path]:
        return [
            path
            for path in self.paths.values()
            if path.carrier.ready and (path.state is not State.FAILED or self._may_recover(path))
        ]

    def _unbound(self) -> list[Path]:
        """Paths that count as working and whose leg at the relay has broken: nothing can be asked over them."""
        return [path for path in self.paths.values() if path.state is State.VALID and not path.carrier.ready]

    def _may_recover(self, path: Path) -> bool:
        return path.rtt is not None and path.key[0] == "udp" and bool(self.own.reachable([path.remote[0]]))

    def _watch(self, now: float) -> None:
        """The peer's voice has stopped: every path is asked at once whether it works, and one that does is taken."""
        before = self.choice.vigil.suspicious_since
        if self.choice.vigil.suspects(now) and before is None:
            for path in self.paths.values():
                path.next_check = now
            if self.selected is not None and self.selected.via is None:
                self.tcp.try_again(now + TCP_HEADSTART)
            self.reports.silent(now)
            self.shaken = now
        if self.choice.unheard(now):
            self._press(now)
        if (using := self.selected) is not None and self.choice.better_left(using, now):
            self._fail(using, now)

    def _press(self, now: float) -> None:
        """The path in use is in doubt: none that has failed is left to the pace that its long silence has earned it."""
        for path in self.paths.values():
            if path.state is State.FAILED:
                path.next_check = min(path.next_check, now + self._interval(path, now))

    def _visit(self, path: Path, now: float) -> None:
        """One path's turn: found dead, or checked again."""
        if path.state is State.FAILED:
            self._check(path, now)
            return
        if path.state is State.VALID:
            soon = path.doubted or (path is self.selected and not self.choice.drowns(path, now))
            limit = path.rest + (DEAD_AFTER if soon else STANDBY_DEAD_AFTER)
            unwelcome = path.asked_since is not None and now > path.asked_since + CONSENT_ENDS
            if unwelcome or now - path.last_answer > limit:
                self._fail(path, now)
                return
        elif path.first_check is not None and now - path.first_check > GIVE_UP and path.via is None:
            self._fail(path, now)
            return
        self._check(path, now)

    def _check(self, path: Path, now: float) -> None:
        if path.via is None and path.key[0] == "udp" and not self.manners.check(path.remote[0], now):
            self._fail(path, now)
            return
        path.rest = min(path.rest, now - path.last_answer)  # asked before its time, it is silent from now on
        path.carrier.send(self.checks.request(path, self.choice.nomination(path), self._word(now), now))
        path.asked_since = now if path.asked_since is None else path.asked_since
        if path.first_check is None:
            path.first_check = now
            self._tell(path, now)
        path.next_check = now + self._interval(path, now)
        path.tries += 1

    def _interval(self, path: Path, now: float) -> float:
        if self.choice.vigil.storms(now) or (path is self.selected and self.holding.untold(path)):
            return STORM
        if path.state is State.FAILED:
            return PRESSED if self.choice.unheard(now) else self._revival(path, now)
        if path.state is not State.VALID or path.nominating or path.doubted:
            return RETRIES[min(path.tries, len(RETRIES) - 1)]
        if self.choice.unheard(now):
            return PRESSED
        often = path is self.selected or path.measured is None
        return (CONSENT if often else STANDBY) * self.rng.uniform(0.8, 1.2)

    def _revival(self, path: Path, now: float) -> float:
        """Seconds between checks of a path that has failed."""
        most = min(REVIVE_MOST, self.media.keepalive())
        return min(most, max(REVIVE, REVIVE_SHARE * (now - max(path.last_answer, self.shaken))))

    def _held(self, on: bool, now: float) -> None:
        """The call is on hold, or no more: the peer hears it at once, over every path that works."""
        self.choice.vigil.hold(on)
        for path in self.paths.values():
            if path.state is State.VALID:
                path.next_check = now if path is self.selected else now + PACING  # the one in use tells first
        self.reports.held(on)

    # -- guessing ------------------------------------------------------------------------------------------------

    def answered(self, now: float) -> None:
        """The callee has picked up."""
        self.guessing.answered(now)

    def _may_check(self) -> bool:
        return self.key is not None and not self.closed

    def _udp_between(self) -> bool:
        return any(
            path.state is State.VALID and path.key[0] == "udp" and not path.doubted for path in self.paths.values()
        )

    def _in_use(self) -> set[int]:
        """The sockets that a path lives on, or has lived on and may again."""
        living = (path for path in self.paths.values() if path.state is not State.FAILED or self._may_recover(path))
        return {path.carrier.socket for path in living if isinstance(path.carrier, UdpCarrier)}

    def _guesses(self, now: float) -> None:
        self._speak_up(now)
        self.reports.guesses(now)

    def _speak_up(self, now: float) -> None:
        """The peer is told at once, over every path that works."""
        for path in self.paths.values():
            if path.state is State.VALID:
                path.next_check = now

    def _word(self, now: float) -> Word:
        missed = self.choice.missed(now)
        self._doubt_legs(missed, now)
        return Word(missed, self.guessing.under_way, self.finished, self.holding.word)

    def _doubt_legs(self, missed: int | None, now: float) -> None:
        """One end misses voice, in thousandths: each leg counts whether it is the one that loses it."""
        if missed is not None and missed > 1000 * CLEAN:
            for leg in self.legs:
                leg.doubt(now)

    def both_finished(self) -> bool:
        """Whether neither side has anything better than the path in use under way."""
        return self.finished and self.peer_finished

    def _note_finish(self, now: float) -> None:
        """The peer hears at once that nothing more is to be expected of this side, or that there is again."""
        finished = self._is_finished(now)
        if finished is not self.finished:
            self.finished = finished
            if self.selected is not None:
                self.selected.next_check = now

    def _is_finished(self, now: float) -> bool:
        using = self.selected
        if using is None or using.state is not State.VALID or self.guessing.active:
            return False
        between = [path for path in self.paths.values() if path.via is None and path is not using]
        if any(path.state is State.IN_PROGRESS and path.tries < FIRST_TRIES for path in between):
            return False
        return not self.choice.gains(now) and not (self.tcp.busy and using.name.rank > RANK[Kind.DIRECT, Transport.TCP])

    # -- TCP -----------------------------------------------------------------------------------------------------

    def adopt(self, link: int, info: LinkInfo, frames: Sequence[bytes], deframer: LengthPrefixed, now: float) -> None:
        """A TCP connection that the peer opened: the first of its frames is a check with this call's key."""
        self.tcp.adopt(link, info, frames, deframer, now)

    def _add_tcp(self, link: int, info: LinkInfo, now: float) -> None:
        key = ("tcp", link)
        self.paths[key] = Path(key, TcpCarrier(self.actions, link, info.peer), info.peer, None, now)
        self.poll(now)

    def _frame(self, link: int, body: bytes, now: float) -> None:
        if (path := self.paths.get(("tcp", link))) is not None:
            self._received(path, body, now)

    def _tcp_tried(self, remote: Address, now: float) -> None:
        self.reports.opens(remote, State.IN_PROGRESS)

    def _tcp_silent(self, remote: Address, now: float) -> None:
        self.reports.opens(remote, State.FAILED)

    def _tcp_lost(self, link: int, now: float) -> None:
        path = self.paths.get(("tcp", link))
        if path is not None and path.state is not State.FAILED:
            self.passage.tcp_lifetime.broke(path.rest)
            self._fail(path, now)
            tell([path], self.reports)
        self.paths.pop(("tcp", link), None)  # another connection is another path

    # -- what arrives --------------------------------------------------------------------------------------------

    def datagram(self, data: bytes, source: Address, now: float, socket: int | None = None) -> None:
        """What came to a socket of the call's, None the media socket, from neither a relay nor a supernode."""
        path = self.paths.get(("udp", (self.media.socket if socket is None else socket, source)))
        if path is None:
            # RFC 8445, 7.3.1.3: a check with the right key from an address not known makes it peer-reflexive.
            if self.guessing.hopeless or not self.checks.genuine(data):
                return
            path = self._add_udp(source, now, socket)
            self._forget_met(path)
            self.reports.met(source)
        self._received(path, data, now)

    def _forget_met(self, newest: Path) -> None:
        """A check with the right key may be sent, or shown again, from any address: of those that the peer has been met
        at and that have never answered, the oldest make room."""
        told = {candidate.address for candidate in self.remote}
        met = [
            path
            for path in self.paths.values()
            if path.key[0] == "udp" and path.rtt is None and path.remote not in told and path is not newest
        ]
        for path in met[: max(0, len(met) + 1 - MOST_MET)]:
            del self.paths[path.key]

    def from_relay(self, leg: RelayLeg, data: bytes, now: float) -> None:
        """What the peer sent through a relay."""
        if (path := self.paths.get(("relay", leg.offer.relay))) is not None:
            path.remote = leg.udp_address
            self._received(path, data, now)

    def _received(self, path: Path, data: bytes, now: float) -> None:
        if not is_stun(data):
            self.reports.data(path.key, data, now)
            return
        message = self.checks.read(data)
        if message is None:
            return
        leg = Transport(message.leg) if message.leg in ("udp", "tcp") and path.via is not None else None
        if leg is not None and path.note_legs(leg) and self.choice.meter.path == path.key:
            self.choice.meter.forget()
        if self.checks.newest(message):
            self._heed(message, now)
        if message.kind is StunKind.REQUEST and message.username == self.call:
            self._asked(path, message, now)
        elif message.kind is StunKind.SUCCESS:
            self._answered(path, message, now)

    def _heed(self, message: StunMessage, now: float) -> None:
        """What the peer says by the way, in whatever it writes."""
        self.peer_finished = message.finished
        self.holding.heard(message.holds, now)
        if message.guessing:
            self.guessing.word(now)
        if message.loss is not None:
            self.choice.peer_missed(message.loss, now)
            self._doubt_legs(message.loss, now)

    def voice(self, key: Key, data: bytes, now: float) -> None:
        """What came by a path has turned out to be the peer's voice; the path may have gone since."""
        if (path := self.paths.get(key)) is not None and not self.closed:
            if isinstance(path.carrier, RelayLeg):
                path.carrier.heard()
            self.choice.hear(path, data, now)

    def _asked(self, path: Path, request: StunMessage, now: float) -> None:
        path.carrier.send(self.checks.answer(path, request, self._word(now)))
        if request.use_candidate and not self.controlling:
            self.choice.follow(path, request.nomination)
        if path.state is State.VALID:
            self.choice.choose(now)
        elif path.state is State.FAILED or path.tries == 0 or path.next_check > now + PACING:
            # RFC 8445, 7.3.1.4: a triggered check; also brings back a path that had failed.
            if path.state is State.FAILED:
                path.state, path.first_check, path.tries = State.IN_PROGRESS, None, 0
            path.next_check = now
            self.poll(now)

    def _answered(self, path: Path, answer: StunMessage, now: float) -> None:
        asked = self.checks.asked(path, answer)
        if asked is None:
            return
        if path.via is None:
            self.manners.hear(path.remote[0])
        sample = now - asked.time
        path.measure(sample, now)
        if path.state is not State.VALID:
            path.state = State.VALID
            if path.via is None:
                mapped = answer.xor_mapped
                path.local_translated = mapped is not None and mapped[0] not in self.own.addresses
                path.remote_translated = path.remote[0] not in self.remote.hosts
                if isinstance(path.carrier, TcpCarrier):
                    self.tcp.works(path.carrier.link)
            path.next_check = now + self._interval(path, now)
            self._tell(path, now)
        over_tcp = path.carrier.transport is Transport.TCP
        alone = self.passage.tcp_lifetime.keepalive if over_tcp else self.media.keepalive()
        self.holding.rest(path, path is self.selected, alone, self.rng, now)
        if path.nominating and asked.nomination == self.choice.nominations:  # RFC 8445, 7.2.5.3.4; not an older one's
            self.choice.agreed(path, now)
        self.choice.choose(now)

    def _went_lossy(self, now: float) -> None:
        """UDP between the two loses voice: that of the relays' legs may as well, and TCP is wanted."""
        for leg in self.legs:
            leg.suspect(now)
        self._speak_up(now)
        self.tcp.try_again(now)

    # -- the end of a path ---------------------------------------------------------------------------------------

    def _went_silent(self, path: Path, now: float) -> None:
        path.shun(now)
        self._fail(path, now)

    def _fail(self, path: Path, now: float) -> None:
        path.state, path.nominating, path.nominated = State.FAILED, False, False
        path.next_check = now + self._interval(path, now)
        if path is self.selected and self.choice.vigil.suspicious_since is not None:
            path.shun(now)
        self._tell(path, now)
        if path.via is not None:  # a relay session outlives its silences: it is asked again and again
            path.state, path.first_check, path.tries = State.IN_PROGRESS, None, len(RETRIES)
            path.next_check = now + RETRIES[-1]
        if path is self.selected:
            self.shaken = now
        self.choice.failed(path, now)
        self._press(now)

    def _tell(self, path: Path, now: float) -> None:
        rtt = None if path.rtt is None else round(path.rtt * 1000, 2)
        self.reports.verdict(Verdict(path.label, path.remote, path.state, rtt), now)

    def close(self, now: float) -> None:
        """The call is over: says what never answered, closes the TCP connections; the socket belongs to the call."""
        self.closed = True
        for path in self.paths.values():
            if path.state is State.IN_PROGRESS and path.first_check is not None:
                path.state = State.FAILED
                self._tell(path, now)
        self.tcp.close()
        self.guessing.close()
