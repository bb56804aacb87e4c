"""The table of expected paths: what the best path between two sites of the reference lab is, written out by hand.

tests/theory.py derives the same from the axes of any two networks; tests/unit/test_theory.py holds them together.
Belongs here: the table. Never: how it comes about.
"""

from itertools import permutations

SITES = {"park": "alice", "home": "bob", "flat": "frank", "office": "carol", "hotel": "dave", "bank": "erin"}

PATHS = {  # whoever calls
    ("park", "home"): "direct/udp",  # one end is not translated
    ("park", "flat"): "direct/udp",
    ("park", "office"): "direct/udp",
    ("park", "hotel"): "direct/tcp",  # opened by the side that may only open TCP
    ("park", "bank"): "direct/tcp",
    ("home", "flat"): "punched/udp",  # both mappings are endpoint-independent
    ("home", "office"): "punched/udp",  # random ports on one side, port-dependent filtering on the other: guessed
    ("flat", "office"): "punched/udp",
    ("home", "hotel"): "relayed/mixed",  # one leg each way that its firewall lets out
    ("home", "bank"): "relayed/mixed",
    ("flat", "hotel"): "relayed/mixed",
    ("flat", "bank"): "relayed/mixed",
    ("office", "hotel"): "relayed/mixed",
    ("office", "bank"): "relayed/mixed",
    ("hotel", "bank"): "relayed/tcp",
}

CALLS = [
    (SITES[here], SITES[there], PATHS.get((here, there)) or PATHS[there, here])
    for here, there in permutations(SITES, 2)
]
"""(caller, callee, "kind/transport") of every ordered pair of clients."""
