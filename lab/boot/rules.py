"""Rule sets into the kernel of this network namespace, and what it remembers out of it.

Belongs here: feeding the tools. Never: what the rules are (lab.nat).
"""

import re
import subprocess
from collections.abc import Iterator

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


def dropped() -> dict[str, int]:
    """Packets that each rule that drops has counted since it was loaded, by its own text, a chain's policy among them;
    those of IPv6 say so. Raises RuntimeUnavailable with the tool's words."""
    found: dict[str, int] = {}
    for command, prefix in (("iptables-save", ""), ("ip6tables-save", "IPv6 ")):
        done = subprocess.run([command, "-c"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeUnavailable(f"{command} tells no counters: {done.stderr.strip() or done.returncode}")
        for rule, packets in dropping(done.stdout):
            found[prefix + rule] = found.get(prefix + rule, 0) + packets
    return found


_POLICY = re.compile(r":(\S+) DROP \[(\d{1,20}):\d+\]")  # a counter has 64 bits
_RULE = re.compile(r"\[(\d{1,20}):\d+\] -A (.* -j (?:DROP|REJECT).*)")


def dropping(saved: str) -> Iterator[tuple[str, int]]:
    """The rules of a save file that let a packet go no further, and how many they had."""
    for line in saved.splitlines():
        if found := _POLICY.fullmatch(line):
            yield f"{found[1]}'s policy", int(found[2])
        elif found := _RULE.fullmatch(line):
            yield found[2], int(found[1])


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
