"""What addresses are called, and which of them nobody has out there."""

from pathlib import Path

from lab.evidence.naming import Names
from lab.topology import parse

NAMES = Names(parse(Path(__file__).parents[3] / "compose" / "reference.yml"))


def test_nodes_have_their_names_and_routers_a_side() -> None:
    assert NAMES.endpoint("192.168.32.10", 40000) == "bob:40000"
    assert (NAMES.host("203.0.113.32"), NAMES.host("192.168.32.1")) == ("home wan", "home lan")
    assert NAMES.text("203.0.113.11:33033") == "supernode-1:33033"


def test_only_what_is_private_is_nobody_s_out_there() -> None:
    """Python's own word for private covers the addresses of documentation, which are the lab's internet."""
    assert NAMES.private("192.168.32.10")
    assert not NAMES.private("198.51.100.18"), "alice has an address of her own"
    assert not NAMES.private("203.0.113.32")
