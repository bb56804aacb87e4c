"""What calls share: whose packets are nobody's of a call."""

from pathlib import Path

from lab.harness.session import foreign_to
from lab.topology import parse
from lab.topology.model import Role

ZOO = parse(Path(__file__).parents[3] / "compose" / "zoo.yml")


def foreign(*names: str) -> set[str]:
    return set(foreign_to(ZOO, [ZOO.node(name) for name in names]))


def test_addresses_of_other_sites_are_foreign_and_those_of_the_ends_and_the_internet_are_not() -> None:
    left_out = foreign("linux-1-pc", "open-1-pc")
    own = [ZOO.node(name) for name in ("linux-1-pc", "linux-1-router", "open-1-pc", "open-1-router")]
    others = [ZOO.node(name) for name in ("linux-2-pc", "linux-2-router", "carrier-1-router", "proxy-only-1-router")]
    public = [node for role in (Role.RELAY, Role.SUPERNODE, Role.CORE) for node in ZOO.by_role(role)]
    assert not left_out & {str(address) for node in (*own, *public) for address in node.addresses}
    assert left_out >= {str(address) for node in others for address in node.addresses}


def test_the_carrier_before_a_site_has_part_in_its_calls_and_its_other_subscribers_have_not() -> None:
    left_out = foreign("mobile-1-pc", "linux-1-pc")
    assert not left_out & {str(address) for address in ZOO.node("carrier-1-router").addresses}
    assert left_out >= {str(address) for address in ZOO.node("mobile-2-router").addresses}
