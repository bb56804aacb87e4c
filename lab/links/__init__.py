"""Access links as data: what a line does to the packets of a site, in both directions, and how that is written.

Pure: text to data, data to text, a clock and a packet's size to the time at which it leaves. Touching packets is
start-up's (lab.boot), never done here.
"""

from lab.links.axes import Burst, Direction, Impairment, Link, Queue
from lab.links.notation import AXES, DIRECTIONS, Entry, changed, describe, entries, write

__all__ = [
    "AXES",
    "DIRECTIONS",
    "Burst",
    "Direction",
    "Entry",
    "Impairment",
    "Link",
    "Queue",
    "changed",
    "describe",
    "entries",
    "write",
]
