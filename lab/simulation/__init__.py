"""A crowd of the overlay's own machines on a model internet, with a clock that jumps: outages and churn at scale.

The machines are those that run in the containers; what stands around them is modelled. No sockets, no real time.
"""

from lab.simulation.outcome import Outcome
from lab.simulation.simulating import Follow, Stage, simulate
from lab.simulation.stories import STORIES, Story

__all__ = ["STORIES", "Follow", "Outcome", "Stage", "Story", "simulate"]
