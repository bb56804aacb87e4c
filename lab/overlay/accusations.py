"""Whether one that was promoted heeds the others when they say that they do not reach it: never on one's word alone.

Pure. Belongs here: whose words count together. Never: what follows; how somebody is measured, which is promoting's.
"""

from collections.abc import Collection

ACCUSERS = 2
"""Supernodes that have to say it: one of them may lie, or be the one that reaches nobody."""
REMEMBERED = 300.0
"""Seconds for which a word counts: in a large mesh, each measures one of the others every few seconds, by chance."""
ANEW = 5.0
"""Seconds after which the same word of one counts again: who is not heeded dials anew, twice, before it says so."""
MOST = 100
"""Accusers that are remembered."""


class Accusations:
    """Those against one supernode or relay.

    Where it is linked with a single other, there is nobody else to ask, and nobody else to be one for: that one is
    heeded when it has measured anew and says the same.
    """

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def heeds(self, accuser: str, linked: Collection[str], now: float) -> bool:
        """Another has said so, of those that are `linked`; whether that is enough."""
        said = {name: at for name, at in self._said.items() if now < at + REMEMBERED}
        first = said.setdefault(accuser, now)
        self._said = dict(sorted(said.items(), key=lambda each: each[1])[-MOST:])
        alone = set(linked) <= {accuser}
        return len(said) >= ACCUSERS or (alone and now >= first + ANEW)
