"""Guessing ports of one call: when it begins and ends, its sockets, and how much of it a peer has to put up with.

Belongs here: limits, sockets, the peer's word that it takes part. Never: which ports, which path is used.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, earliest
from lab.overlay.courtesy import Pace, Share
from lab.overlay.guesses import GUESSES, Guess
from lab.overlay.paths import is_local
from lab.overlay.prospects import CHEAP, Part, part, part_if_strict
from lab.overlay.reflexive import MediaSocket
from lab.wire.addresses import Address, family
from lab.wire.messages import Candidate, Network
from lab.wire.stun import Kind, Method, StunMessage, is_stun

GRACE = 0.15
"""Seconds that hole punching is given before ports are guessed."""
DOUBT = 1.0
"""Seconds from the answer in which hole punching has to work where, by what both know, it needs no guessing."""
LIMIT = 20.0
"""Seconds after which guessing stops for good: who has had no luck by then is as well off with the relay."""
HANDFUL = 24
"""Guesses sent to a peer that has not said by another path that it guesses too, or to a host that nobody but the peer
says to be the peer's: its candidates may name others."""
WORD_HOLDS = 3.0
"""Seconds for which the peer's word that it guesses holds; it is said in every check of a path that works."""
WORD_COMES = 5.0
"""Seconds after which a peer that has not said that it guesses will not."""
SWEEP = 1.0
"""Seconds after the end in which a path on any socket may still prove to work; then those without one are closed."""
REVIVAL = 2.0
"""Seconds that a path which has been guessed, and has died, is given to come back."""
LIVES = 4
"""Times that one call guesses."""
MOST_KNOWN = 50
"""Addresses of one peer that are remembered, as many as of its candidates: the last told."""
MOST_HOSTS = 2
"""Outer addresses of one peer that are tried; RFC 4787, REQ-2 wants one."""


@dataclass(frozen=True)
class Means:
    """What guessing needs of its checklist: whether checks may be sent, a fresh one, whether UDP between the two works
    already, sockets on which a path lives, and whom to hand datagrams; `tell` gets candidates to the peer, signed;
    `changed` is told of starts and ends; `known` says whether a host is the peer's by another word than its own,
    `spend` whether one more guess may go there; `share` is the call's, of what its client may guess in a second."""

    ready: Callable[[], bool]
    check: Callable[[Address], bytes]
    between: Callable[[], bool]
    in_use: Callable[[], set[int]]
    datagram: Callable[[bytes, Address, float, int], None]
    tell: Callable[[Sequence[Candidate], float], None]
    changed: Callable[[float], None]
    known: Callable[[str], bool] = lambda host: True
    spend: Callable[[str, float], bool] = lambda host, now: True
    share: Share = field(default_factory=lambda: Share(Pace()))


class Guessing:
    """One call's, from one side; also the ground that its guess stands on."""

    def __init__(self, actions: Actions, media: MediaSocket, rng: random.Random, means: Means) -> None:
        self.actions, self.media, self.rng, self.means = actions, media, rng, means
        self.own, self.peer, self.controlling = Network(), Network(), False
        self.part = Part.NOTHING
        self.needless = False
        self.guess: Guess | None = None
        self.begins: float | None = None
        self.ends: float | None = None
        self.sweeps: float | None = None
        self.over = self.mended = self.hopeless = self.picked_up = False
        self.times = 0
        self.candidates: dict[Address, str] = {}
        self.sockets: set[int] = set()
        self.questions: dict[int, bytes] = {}
        self.early: Sequence[Address] = ()
        self.word_until = self.begun = float("-inf")
        self.sent = self.unproven = self.opened = 0

    # -- what is known ------------------------------------------------------------------------------------------

    def meet(self, own: Network, peer: Network, controlling: bool, now: float) -> None:
        """What both have told each other of their networks; again, where one of them is another by now."""
        self.hopeless = self.hopeless and own.udp is False
        if self.over and (own, peer) != (self.own, self.peer) and self.times < LIVES and not self.means.between():
            self.over = self.mended = False
        if self.guess is None and not self.over:  # it may be told again, as long as nothing rests on it
            self.own, self.peer, self.controlling = own, peer, controlling
            self.part = part(own, peer, controlling)
            self.needless = self.part is Part.NOTHING
            if self.needless:
                self.part = part_if_strict(own, peer, controlling)
            self._plan(now)

    def _plan(self, now: float) -> None:
        """When to begin: what takes few packets while it rings, what ought not to be needed only after a doubt."""
        soon = self.active and (self.picked_up or (self.part in CHEAP and not self.needless))
        self.begins = now + (DOUBT if self.needless else GRACE) if soon else None

    def answered(self, now: float) -> None:
        """The callee has picked up: what takes many packets may begin as well."""
        self.picked_up = True
        if self.guess is None and self.begins is None:
            self._plan(now)

    def learn(self, candidates: Sequence[Candidate], now: float) -> None:
        """The peer's candidates; what it predicts is for the guess alone, and only of addresses that are its own."""
        over_udp = [one for one in candidates if one.transport == "udp" and family(one.address[0]) == 4]
        for candidate in over_udp:
            if candidate.kind != "predicted":
                self.candidates.pop(candidate.address, None)  # the last told is the last
                self.candidates[candidate.address] = candidate.kind
        while len(self.candidates) > MOST_KNOWN:
            del self.candidates[next(iter(self.candidates))]
        hosts = self.hosts
        predicted = [one.address for one in over_udp if one.kind == "predicted" and one.address[0] in hosts]
        if predicted and self.guess is not None:
            self.guess.told(predicted, now)
        elif predicted:
            self.early = predicted

    def word(self, now: float) -> None:
        """The peer has said, in a check with the call's key, that it guesses."""
        self.word_until = now + WORD_HOLDS

    def give_up(self, now: float) -> None:
        """UDP has been found to lose voice here, or not to get out: no path that could be found would be of use."""
        if self.active:
            self.begins, self.hopeless = None, True
            self._end(now)

    @property
    def alone_at(self) -> float:
        """When the peer has ended, or has not begun, and guessing has no sense for one."""
        return max(self.word_until, self.begun + WORD_COMES)

    @property
    def active(self) -> bool:
        """Whether a path may yet come of it."""
        return self.part is not Part.NOTHING and not self.over and not (self.needless and self.means.between())

    @property
    def under_way(self) -> bool:
        """What the peer is told in every check."""
        return self.guess is not None

    # -- time ---------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        if self.guess is None:
            return earliest(self.sweeps, self.begins if self._able() else None)
        return 0.0 if self.means.between() else earliest(self.ends, self.alone_at, self.guess.deadline())

    def poll(self, now: float) -> None:
        if self.sweeps is not None and now >= self.sweeps:
            self._sweep(now)
        if self.guess is None and self.begins is not None and now >= self.begins and self._able():
            self._begin(now)
        if self.guess is None:
            self._revive(now)
            return
        assert self.ends is not None
        if self.means.between() or now >= min(self.ends, self.alone_at):
            self._end(now)
        else:
            self.guess.poll(now)

    def _revive(self, now: float) -> None:
        """What was found works no more: a mapping may have been lost, and the next one has to be guessed again."""
        if self.mended and not self.means.between():
            self.mended, self.over, self.begins = False, False, now + REVIVAL

    def _able(self) -> bool:
        return bool(self.hosts) and bool(self.media.port) and self.means.ready()

    def _begin(self, now: float) -> None:
        self.begins = None
        if self.means.between():
            self.over = True
            return
        self.guess, self.ends, self.begun = GUESSES[self.part](self, now), now + LIMIT, now
        if self.early:
            self.guess.told(self.early, now)
        self.means.changed(now)

    def _end(self, now: float) -> None:
        self.times += 1
        self.mended = self.means.between() and self.times < LIVES
        self.guess, self.over, self.sweeps = None, True, now + SWEEP
        self.means.changed(now)

    def _sweep(self, now: float) -> None:
        """Sockets that no path lives on are closed, again and again as paths die."""
        self.close_losers(list(self.sockets))
        self.sweeps = now + 5 * SWEEP if len(self.sockets) > 1 else None

    def restart(self, now: float) -> None:
        """This end stands elsewhere, or where it stood before and without its sockets: it may begin anew."""
        self.close()
        self.over = self.hopeless = False
        self.times = 0
        self._plan(now)
        if self.begins is not None:  # by then it is known what network this is
            self.begins = now + REVIVAL

    def close(self) -> None:
        """The call is over, or this end stands elsewhere."""
        self.over, self.mended, self.guess, self.begins, self.sweeps = True, False, None, None, None
        for socket in self.sockets:
            self.actions.close_udp(socket)
        self.sockets.clear()

    # -- the ground ---------------------------------------------------------------------------------------------

    @property
    def media_socket(self) -> int:
        return self.media.socket

    @property
    def target(self) -> Address:
        return self._outer()[0]

    @property
    def hosts(self) -> list[str]:
        return list(dict.fromkeys(host for host, _ in self._outer()))[:MOST_HOSTS]

    def _outer(self) -> list[Address]:
        """Where the peer is seen, the last told first, for a mapping may have become another; where nobody sees it
        elsewhere than where it stands, that. Hosts that it alone names count where there are no others."""
        outer = [address for address, kind in self.candidates.items() if kind != "host"]
        named = outer or [address for address in self.candidates if not is_local(address[0])]
        return ([address for address in named if self.means.known(address[0])] or named)[::-1]

    def may(self, now: float) -> bool:
        """Whether one more guess may be sent, to some host at least."""
        return any(self._allowed(host, now) for host in self.hosts) and self.means.share.free(now)

    def _allowed(self, host: str, now: float) -> bool:
        return self.unproven < HANDFUL or self._welcome(host, now)

    def _welcome(self, host: str, now: float) -> bool:
        return now < self.word_until and self.means.known(host)

    def check(self, socket: int, address: Address, now: float, hops: int | None = None) -> bool:
        host = address[0]
        if not self._allowed(host, now) or not self.means.share.free(now) or not self.means.spend(host, now):
            return False
        self.means.share.take(now)
        self.sent += 1
        self.unproven += not self._welcome(host, now)
        self.actions.send_to(socket, address, self.means.check(address), hops)
        return True

    def open(self) -> int:
        socket = self.actions.open_udp(self)
        self.sockets.add(socket)
        self.opened += 1
        return socket

    def ask(self, socket: int) -> None:
        """Asks the first supernode that has answered this call's socket."""
        server = next((server for server in self.media.mapped if family(server[0]) == 4), None)
        if server is not None:
            transaction = self.questions.setdefault(socket, self.rng.randbytes(12))
            self.actions.send_to(socket, server, StunMessage(Method.BINDING, Kind.REQUEST, transaction).encode())

    def tell(self, addresses: Sequence[Address], now: float) -> None:
        self.means.tell([Candidate("predicted", "udp", address) for address in addresses], now)

    def close_losers(self, sockets: Sequence[int]) -> None:
        living = self.means.in_use()
        for socket in sockets:
            if socket in self.sockets and socket not in living:
                self.sockets.discard(socket)
                self.questions.pop(socket, None)
                self.actions.close_udp(socket)

    # -- sockets ------------------------------------------------------------------------------------------------

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        if self.guess is not None and socket in self.sockets:
            self.guess.up(socket, now)

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        transaction = self.questions.get(socket)
        if transaction is None or source not in self.media.mapped:
            self.means.datagram(data, source, now, socket)
        elif is_stun(data) and self.guess is not None:
            outer = _outer(data, transaction)
            if outer is not None:
                self.guess.seen(socket, outer, now)


def _outer(data: bytes, transaction: bytes) -> Address | None:
    """The address that a server says it has seen, if `data` is its answer to that question."""
    try:
        message = StunMessage.parse(data)
    except ProtocolError:
        return None
    fits = message.kind is Kind.SUCCESS and message.transaction_id == transaction
    return message.xor_mapped if fits else None
