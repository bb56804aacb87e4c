"""Which of a call's paths its voice takes: the best that works is nominated; one that loses voice, or falls silent, is
left.

Belongs here: ranking, and moving from path to path. Never: finding paths, nor whether one works (checklist.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.overlay.actions import earliest
from lab.overlay.loss import TOO_MUCH, LossMeter
from lab.overlay.paths import Key, Path, State, Transport, Why
from lab.overlay.vigil import Vigil

LOSSY_FOR = 30.0
"""Seconds for which a path that lost too much voice ranks below every clean one: too long to swing, and a network that
has recovered is used again."""
PATIENCE, TRIPS = 0.8, 2.5
"""Seconds, and round trips, that TCP between the two is given, once UDP has proven lossy, before a relay is taken: two
round trips open a connection and check it, and a call that goes by a relay first loses nothing by it."""
CONSENT = 0.5
"""Seconds between checks of the path in use, each 0.8 to 1.2 times as long (RFC 7675, 5.1 asks for 5 s or less)."""
CLEARLY, CLEARLY_SHARE = 0.020, 0.25
"""Seconds, and the share of the round trip, by which a path must be shorter than one of its rank for voice to move
there: less is not heard, and may be a busy machine's."""
STAY = 5.0
"""Seconds for which voice stays on a path before a shorter one of its rank takes it: it swings no faster than that."""
UNHEARD = 1.0
"""Seconds without an answer beside the silence after which the path in use brings nothing of the peer."""
FRESH, TRIPS_OF_WORDS = 0.5, 1.5
"""Seconds after a move, and round trips of the longer path, in which the peer's word on loss may be of the other."""


@dataclass(frozen=True)
class Consequences:
    """What a choice leads to: voice moves, to another path or to none; a path is to be checked at once, for it is being
    nominated; UDP between the two loses voice, and TCP may do better; a path that voice has left was silent, and is
    dead."""

    moved: Callable[[float], None]
    nominated: Callable[[float], None]
    lossy: Callable[[float], None]
    silent: Callable[[Path, float], None]


class Choice:
    """One side's. The caller is the controlling end (RFC 8445, 6.1.1); `paths` are the checklist's own."""

    def __init__(self, paths: Mapping[Key, Path], controlling: bool, consequences: Consequences) -> None:
        self.paths, self.controlling, self.consequences = paths, controlling, consequences
        self.selected: Path | None = None
        self.selected_at = self.heeds_from = 0.0
        self.nominations = 0
        """Paths that the controlling end has nominated so far, one after the other, as far as this one knows."""
        self._named: Path | None = None
        self.patience: float | None = None
        self.meter = LossMeter()
        self.vigil = Vigil()

    # -- time ----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        return earliest(self.patience, self.vigil.deadline())

    def poll(self, now: float) -> None:
        if self.patience is not None and now >= self.patience:
            self.patience = None
            self.choose(now)

    # -- which -----------------------------------------------------------------------------------------------------

    @property
    def outlet(self) -> Path | None:
        """What voice goes out on: the path in use, and until there has been one a relay that hears this end. That one
        needs no check of its own to be harmless: what it is given goes to the holder of the session's other half, the
        peer, or to nobody.
        """
        if self.selected is not None or self.selected_at:
            return self.selected
        hearing = [path for path in self.paths.values() if path.via is not None and path.carrier.ready]
        return min(hearing, key=lambda path: (path.leaving, path.name.rank), default=None)

    def valid(self, now: float) -> list[Path]:
        """The paths that work, best first. After voice has stopped, what counts is who has answered since."""
        since = self.vigil.suspicious_since
        working = [
            path
            for path in self.paths.values()
            if path.state is State.VALID
            and path.carrier.ready
            and (since is None or path is self.selected or path.last_answer > since)
        ]
        return sorted(working, key=lambda path: (path.leaving, path.lossy(now), path.name.rank, path.distance))

    @property
    def stranded(self) -> bool:
        """Whether the relay in use is about to end, and no path works that would outlive it."""
        if self.selected is None or not self.selected.leaving:
            return False
        working = (path for path in self.paths.values() if path.state is State.VALID and path.carrier.ready)
        return all(path.leaving for path in working)

    def unheard(self, now: float) -> bool:
        """Whether nothing of the peer comes: there is no path, or neither voice nor answers on it any more.

        A peer that answers checks has fallen silent for reasons of its own.
        """
        using, since = self.selected, self.vigil.suspicious_since
        if using is None:
            return True
        return since is not None and using.last_answer < max(since, now - UNHEARD)

    def between(self, now: float) -> bool:
        """Whether a clean path between the two has been found, one that has not fallen silent."""
        silent = self.selected if self.vigil.suspicious_since is not None else None
        return any(p.via is None and p is not silent and not p.lossy(now) and not p.doubted for p in self.valid(now))

    def gains(self, now: float) -> bool:
        """Whether there is a path worth moving to that works already."""
        using = self.selected
        return using is not None and any(
            path.state is State.VALID and self._gains(using, path, now) for path in self.paths.values()
        )

    def _gains(self, using: Path, other: Path, now: float) -> bool:
        return _gains(using, other, now) or (now - self.selected_at >= STAY and _shorter(using, other, now))

    def choose(self, now: float) -> None:
        """RFC 8445, 8.1.1: the controlling end nominates the best that works, the controlled one follows."""
        working = self.valid(now)
        if not working:
            return
        best = working[0]
        if not self.controlling:
            best = next((path for path in working if path.nominated), self.selected or best)
            if best is not self.selected and best in working:
                self._select(best, now)
            return
        if self.selected in working:
            using = self.selected
            best = next((path for path in working if self._gains(using, path, now)), using)
        if self.selected is None:  # any that works is better than none; the peer may agree later
            self._nominate(best, now)
            self._select(best, now)
            return
        if best is self.selected:
            for path in self.paths.values():  # what was better is so no more
                path.nominating = path.nominating and path is best
            return
        if best.nominating:
            return
        waits = self.patience is not None and best.via is not None and not self.selected.leaving
        if waits and self.selected in working:
            return
        self._nominate(best, now)
        self.consequences.nominated(now)

    def _nominate(self, path: Path, now: float) -> None:
        """Said in every check of the path, in quick succession until the peer has answered one."""
        for other in self.paths.values():
            other.nominating = other is path
        path.next_check, path.tries = now, 0

    def nomination(self, path: Path) -> int | None:
        """The number under which a check of this path bears USE-CANDIDATE, None where it bears none: it is the one that
        is being nominated, and while none is the one in use. The peer follows the highest that it has heard, for on two
        paths what was said first may come last; two at once would send it to and fro."""
        if not self.controlling:
            return None
        if not path.nominating and (path is not self.selected or any(p.nominating for p in self.paths.values())):
            return None
        if path is not self._named:
            self._named, self.nominations = path, self.nominations + 1
        return self.nominations

    def follow(self, nominated: Path, number: int | None) -> None:
        """The controlling end has nominated a path, which may not have answered this end yet."""
        if number is not None and number < self.nominations:
            return
        self.nominations = number or self.nominations
        for path in self.paths.values():
            path.nominated = path is nominated

    def agreed(self, path: Path, now: float) -> None:
        """The peer has answered the nomination of a path."""
        path.nominating = False
        self._select(path, now)

    def _select(self, path: Path, now: float) -> None:
        if path is self.selected:
            return
        left, self.selected, self.selected_at = self.selected, path, now
        longer = max(each.rtt or 0.0 for each in (path, left or path))
        self.heeds_from = now + max(FRESH, TRIPS_OF_WORDS * longer)
        if left is not None and self.vigil.unanswered(left.last_answer, left.rtt or 0.0, now):
            self.consequences.silent(left, now)  # the peer was the first to leave it
        self.vigil.watch(path, now)
        path.last_answer = max(path.last_answer, now)  # a nomination came over it: a sign of life, no consent
        path.next_check = now if self.controlling else min(path.next_check, now + CONSENT)
        self.consequences.moved(now)

    # -- what leads away from a path --------------------------------------------------------------------------------

    def hear(self, path: Path, data: bytes, now: float) -> None:
        """Voice of the peer, and of nobody else, has come on a path: on one that is being nominated, it is as good as
        the answer, which may be lost where the line is full."""
        if path.nominating and path.state is State.VALID and path.carrier.ready:
            self.agreed(path, now)
        if self.vigil.excuses(now):
            self.meter.forget()
        gap = self.meter.hear(path.key, data, now)
        self.vigil.hear(path, now)
        if gap:
            self.missed(now)

    def missed(self, now: float) -> int | None:
        """Voice that did not arrive, in thousandths: told to the peer in every check and answer, and taken to heart."""
        lost = self.meter.lost(now)
        if lost is None:
            return None
        if lost > TOO_MUCH:
            assert isinstance(self.meter.path, tuple)
            self._went_lossy(self.paths.get(self.meter.path), lost, now)
        return round(1000 * lost)

    def peer_missed(self, thousandths: int, now: float) -> None:
        """The peer's word on what it has missed, on the path in use unless that one is too new."""
        if thousandths > 1000 * TOO_MUCH and now > self.heeds_from:
            self._went_lossy(self.selected, thousandths / 1000, now)

    def _went_lossy(self, path: Path | None, lost: float, now: float) -> None:
        """Voice is lost on a path, seldom by the fault of one pair of addresses: all UDP between the two is suspect."""
        if path is None or path.lossy(now):
            return
        of_its_kind = path.via is None and path.carrier.transport is Transport.UDP
        for other in self.paths.values():
            if other is path or (of_its_kind and other.key[0] == "udp"):
                other.rank_down(Why.LOSS, now + LOSSY_FOR, lost)
        if path.via is None:
            self.consequences.lossy(now)
            self.patience = now + min(PATIENCE, TRIPS * (path.rtt or PATIENCE))
        self.choose(now)

    def drowns(self, path: Path, now: float) -> bool:
        """Whether the path in use still brings voice, so that checks without an answer are lost beside it."""
        return path is self.selected and self.meter.path == path.key and self.meter.still_hears(now)

    def better_left(self, path: Path, now: float) -> bool:
        """Whether it is the path in use, silent in every way, while another has answered since it fell silent."""
        since = self.vigil.suspicious_since
        if path is not self.selected or since is None:
            return False
        if not self.vigil.lasts_too_long(path.last_answer, path.rtt or 0.0, now):
            return False
        others = (other for other in self.paths.values() if other is not path and other.state is State.VALID)
        return any(other.last_answer > since and other.carrier.ready for other in others)

    def failed(self, path: Path, now: float) -> None:
        """A path works no more."""
        if path is self.selected:
            self.selected = None
            self.choose(now)
            if self.selected is None:
                self.consequences.moved(now)

    def begin_anew(self, now: float) -> None:
        """Every path has to answer again; what was lost so far was lost on others."""
        if self.selected is not None and self.selected.state is not State.VALID:
            self.selected = None
            self.consequences.moved(now)
        self.patience = None
        self.meter.forget()
        self.vigil.forget()


def _gains(selected: Path, best: Path, now: float) -> bool:
    """Whether moving from one path that works to a better one is worth it: to one that stays, to a clean one,
    to a better kind, or to IPv6 (RFC 8421)."""
    if selected.leaving or best.leaving:
        return not best.leaving
    if selected.lossy(now) or best.lossy(now):
        return not best.lossy(now)
    if best.name.rank == selected.name.rank:
        between = selected.via == best.via is None
        return between and best.over_ipv6 and not selected.over_ipv6 and best.distance <= selected.distance
    return best.name.rank < selected.name.rank


def _shorter(selected: Path, other: Path, now: float) -> bool:
    """Whether another path of the same rank, as clean, has proven to be clearly shorter over several checks."""
    mine, its = selected.measured, other.measured
    if mine is None or its is None or other.lossy(now) or other.name.rank != selected.name.rank:
        return False
    if other.leaving:
        return False
    return mine - its >= max(CLEARLY, CLEARLY_SHARE * mine)
