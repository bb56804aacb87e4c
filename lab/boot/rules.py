"""Rule sets into the kernel of this network namespace, and what it remembers out of it.

Belongs here: feeding the tools. Never: what the rules are (lab.nat).
"""

import subprocess

from pyroute2 import NFCTSocket

from lab.errors import RuntimeUnavailable
from lab.nat import RuleSet


def load(rules: RuleSet) -> None:
    """Put a rule set in place of the former one. Raises RuntimeUnavailable with the tool's words."""
    for command, text in (
        (["nft", "-f", "-"], rules.nftables),
        (["iptables-restore"], rules.iptables),
        (["ip6tables-restore"], rules.ip6tables),
    ):
        if text:
            feed(command, text)


def forget() -> None:
    """Drop every flow that the kernel remembers.

    A flow from before the rules would go on untranslated for as long as it has packets: an engine's resolver rules
    start connection tracking, and clients send, before the router's start-up has begun.
    """
    with NFCTSocket() as tracking:
        tracking.flush()


def feed(command: list[str], text: str) -> None:
    """Have a tool read rules. Raises RuntimeUnavailable with its words."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        words = next(iter(done.stderr.splitlines()), f"exit {done.returncode}")
        raise RuntimeUnavailable(f"{command[0]} refuses the rules: {words}")
