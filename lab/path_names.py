"""The paths that media can take, as people write them: "punched/udp".

Pure. Belongs here: the words, for whoever reads them from a person. Never: which path a call took.
"""

PATHS = ("direct/udp", "punched/udp", "direct/tcp", "punched/tcp", "relayed/udp", "relayed/mixed", "relayed/tcp")


def checked(text: str) -> str:
    """The text, where it names a path. Raises ValueError."""
    __tracebackhide__ = True  # of pytest, for whoever writes it in a test
    if text not in PATHS:
        raise ValueError(f"expected a path as kind/transport, one of {', '.join(PATHS)}; got {text!r}")
    return text
