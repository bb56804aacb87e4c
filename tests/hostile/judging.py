"""The sentences with which a call may fail at a hostile supernode: each says what its own end knows, no more."""

import re

LET_DOWN = (
    r"{callee} did not ring within 6 s",
    r"supernode-\d says: .*",
    r"{callee} did not answer in 60 s",
    r"hung up before {callee} answered",  # the lab does not wait for so long
    r"no path to {callee} works, neither between the two nor by a relay, for \d+ s",
    r"{callee} ended the call: no path to {caller} works, neither between the two nor by a relay, for \d+ s",
    r"{caller} is not signed in at any supernode(: .*|; none answers it)",
    r"away",
)

CLIENTS = {"ben": "supernode-2", "gus": "supernode-2", "cat": "supernode-1"}
"""Where each goes first: the one supernode that it knows before it has run (hostile.yml)."""


def honest(error: str, caller: str, callee: str) -> bool:
    """Whether this is one of them."""
    known = (each.format(caller=re.escape(caller), callee=re.escape(callee)) for each in LET_DOWN)
    return any(re.fullmatch(each, error) for each in known)
