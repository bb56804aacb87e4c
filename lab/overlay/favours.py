"""What clients of this supernode dial for other supernodes, at which nobody is a stranger to whoever is to be dialled.

Pure. Belongs here: who is asked for whom, and whose the answer is. Never: who is a stranger, which is relief's; what is
believed, which is promoting's of the one that has asked.
"""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lab.overlay.limits import Limiter
from lab.overlay.promoting import MEASURER_LIMIT, MEASURINGS
from lab.wire.messages import Dial, Dialled, Message, Unwilling

Send = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class _Favour:
    """For which supernode, how it is told, and until when it waits for that."""

    supernode: str
    question: Dial
    answer: Send
    until: float


class Favours:
    """One supernode's."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.asked: dict[tuple[str, str], _Favour] = {}
        """By the client that dials, and whom."""
        self._measurers = Limiter(MEASURINGS)
        """Apart from what it is asked for its own supernode: no other can use that up."""

    def ask(
        self,
        supernode: str,
        question: Dial,
        answer: Send,
        strangers: Mapping[str, Send],
        able: Collection[str],
        now: float,
    ) -> None:
        """Has one of these clients dial, if there is any, one that has reached others before if there is one."""
        self.asked = {key: favour for key, favour in self.asked.items() if now < favour.until}
        names = [name for name in sorted(strangers) if (name, question.name) not in self.asked]
        names = [name for name in names if name in able] or names
        self.rng.shuffle(names)
        measurer = next((name for name in names if self._measurers.allows(name, now)), None)
        if measurer is None:
            answer(Unwilling(question.role, "nobody is here who could measure it"))
            return
        self.asked[measurer, question.name] = _Favour(supernode, question, answer, now + MEASURER_LIMIT)
        strangers[measurer](question)

    def dialled(self, measurer: str, message: Dialled) -> bool:
        """A client's word about what it has measured; whether it was for another supernode."""
        favour = self.asked.pop((measurer, message.name), None)
        if favour is not None:
            favour.answer(message)
        return favour is not None

    def unwilling(self, measurer: str) -> bool:
        """A client reaches few others, and is no witness; whether it was asked for another supernode."""
        mine = [key for key in self.asked if key[0] == measurer]
        for key in mine:
            favour = self.asked.pop(key)
            favour.answer(Unwilling(favour.question.role, "its client reaches few others"))
        return bool(mine)

    def gone(self, name: str) -> None:
        """A client or another supernode has left."""
        for key in [key for key, favour in self.asked.items() if name in (key[0], favour.supernode)]:
            del self.asked[key]
