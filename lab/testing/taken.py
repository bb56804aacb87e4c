"""The path of a call as a word to compare: `assert call.path == "punched/udp"`.

Belongs here: the word. Imported with every run of pytest in this environment, so nothing heavy is.
"""

from collections.abc import Callable, Sequence

from lab.path_names import checked

NO_PATH, CONTESTED = "no path", "contested"
"""A call that failed, and one of which packets and clients tell different stories: equal to no path's name."""


class Taken(str):
    """What the packets show, as "kind/transport", where the call went well; else one of the two words above.

    Raises ValueError when it is compared with a string that is neither: a slip of the pen would differ from all.
    """

    told: Callable[[str], Sequence[str]]
    """What a comparison that failed has to say, given the path that was asked for."""

    def __new__(cls, word: str, told: Callable[[str], Sequence[str]] = lambda expected: ()) -> "Taken":
        taken = super().__new__(cls, word)
        taken.told = told
        return taken

    def __eq__(self, other: object) -> bool:
        __tracebackhide__ = True
        return super().__eq__(_known(other))

    def __ne__(self, other: object) -> bool:
        __tracebackhide__ = True
        return super().__ne__(_known(other))

    __hash__ = str.__hash__


def _known(other: object) -> object:
    __tracebackhide__ = True
    return checked(other) if isinstance(other, str) and other not in (NO_PATH, CONTESTED) else other


def taken_in(left: object, right: object) -> Taken | None:
    """The one of the two sides of a comparison that is a call's path."""
    return next((side for side in (left, right) if isinstance(side, Taken)), None)
