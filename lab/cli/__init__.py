"""The command line: each command is one step of the harness, shown by the report room.

Belongs here: options, help, exit codes, one file a topic. Never: work; and nothing heavy is imported before a command
needs it.
"""

from lab.cli import calls, captures, nodes, packets, reports, simulations, sites, tours, worlds
from lab.cli.program import commands, main, run

__all__ = [
    "calls",
    "captures",
    "commands",
    "main",
    "nodes",
    "packets",
    "reports",
    "run",
    "simulations",
    "sites",
    "tours",
    "worlds",
]
