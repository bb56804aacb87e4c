"""The supernodes that a node knows: the built-in ones first, behind them those that supernodes have told it of.

Belongs here: which machine is tried before which, and which are kept. Never: connections.
"""

from collections.abc import Collection, Iterable, Sequence

from lab.overlay.paths import nobodys

Machine = tuple[str, ...]
"""One machine's addresses, one a family."""
MOST = 200
"""Machines that are kept, the built-in ones among them; Skype's clients kept as many."""


class HostCache:
    """`built_in` in the order in which this node prefers them; `learnt` as they were kept when it last ran.

    A supernode may tell anything: what nobody could be at is not kept, no word of another's displaces a built-in
    machine, and those that have let this node in are the last that make room.
    """

    def __init__(self, built_in: Sequence[Machine], learnt: Iterable[Machine] = ()) -> None:
        self.built_in = tuple(built_in)
        self.learnt: list[Machine] = []
        self.trusted: set[Machine] = set()
        self.failures: dict[Machine, int] = {}
        self.learn(learnt, ())

    def machines(self) -> list[Machine]:
        """All, in the order in which they are tried: who failed last comes last, else the built-in ones first."""
        return sorted((*self.built_in, *self.learnt), key=lambda machine: self.failures.get(machine, 0))  # stable

    def built_in_at(self, host: str) -> bool:
        """Whether a built-in machine has this address."""
        return any(host in machine for machine in self.built_in)

    def learn(self, machines: Iterable[Machine], own: Collection[str]) -> bool:
        """Keeps what is new of these; whether anything was. `own` are this node's addresses."""
        known = {host for machine in (*self.built_in, *self.learnt) for host in machine}
        found = False
        for machine in machines:
            if machine and not any(host in known or host in own or nobodys(host) for host in machine):
                self.learnt.append(machine)
                known |= set(machine)
                found = True
        while len(self.learnt) > max(0, MOST - len(self.built_in)):
            self._forget(next((old for old in self.learnt if old not in self.trusted), self.learnt[0]))
        return found

    def let_in(self, host: str) -> None:
        """The machine at this address has let the node in: of those that were learnt, it is the first from now on."""
        machine = self.machine_at(host)
        self.failures.pop(machine, None)
        if machine in self.learnt:
            self.trusted.add(machine)
            self.learnt.sort(key=lambda other: other != machine)

    def failed(self, host: str) -> None:
        """The machine at this address was the node's hub and is gone."""
        self.failures[self.machine_at(host)] = 1 + max(self.failures.values(), default=0)

    def machine_at(self, host: str) -> Machine:
        """The machine that has an address."""
        return next((machine for machine in (*self.built_in, *self.learnt) if host in machine), (host,))

    def _forget(self, machine: Machine) -> None:
        self.learnt.remove(machine)
        self.trusted.discard(machine)
        self.failures.pop(machine, None)
