"""What calls share: whose packets are nobody's of a call."""

from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError, RuntimeUnavailable
from lab.harness import session as session_module
from lab.harness.placing import Placed, Request
from lab.harness.session import Session, foreign_to
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


def test_what_a_router_of_another_site_makes_of_its_prefix_is_foreign_as_well() -> None:
    outside = "2001:db8:0:73::10"
    assert ZOO.translated6(ZOO.node("nptv6-1-pc")) == (IPv6Address(outside),)
    assert outside in foreign("linux-1-pc", "ipv6-1-pc")
    assert outside not in foreign("linux-1-pc", "nptv6-1-pc")
    assert ZOO.translated6(ZOO.node("ipv6-1-pc")) == ()


def test_the_carrier_before_a_site_has_part_in_its_calls_and_its_other_subscribers_have_not() -> None:
    left_out = foreign("mobile-1-pc", "linux-1-pc")
    assert not left_out & {str(address) for address in ZOO.node("carrier-1-router").addresses}
    assert left_out >= {str(address) for address in ZOO.node("mobile-2-router").addresses}


def test_a_call_is_told_with_the_seeds_of_the_lines_that_it_passes_and_of_no_others() -> None:
    made: Any = Session.__new__(Session)
    made._topology = ZOO
    sites = ("linux-1", "carrier-1", "mobile-1", "mobile-2", "carrier-2", "mobile-4")
    made._routers = {site: {"shaping": {"seed": number} if number else None} for number, site in enumerate(sites)}
    found = made._line_seeds(Request("mobile-1-pc", "linux-1-pc"))
    assert found == {"carrier-1-router": 1, "mobile-1-router": 2}


def test_what_a_shared_capture_lost_while_a_call_ran_is_the_call_s(tmp_path: Path) -> None:
    class Counting:
        """A capture that has lost so many, and its recording."""

        def __init__(self, lost: int) -> None:
            self.asked: list[tuple[float, float]] = []
            self._lost = lost

        def barrier(self) -> None:
            pass

        def lost(self, start: float, end: float) -> int:
            self.asked.append((start, end))
            return self._lost

        def cut(self, start: float, end: float, foreign: object, target: Path) -> int:
            return 4

    made: Any = Session.__new__(Session)
    made._topology = ZOO
    counting = {"core": Counting(3), "linux-1-router": Counting(0), "open-1-router": Counting(0)}
    made._captures = made._recordings = counting
    placed = Placed("m1-1", Request("linux-1-pc", "open-1-pc"), started=1000.0)
    found = {one.node: (one.packets, one.dropped) for one in made._cut(placed, tmp_path)}
    assert found == {"core": (4, 3), "linux-1-router": (4, 0), "open-1-router": (4, 0)}
    ((start, end),) = counting["core"].asked
    assert start < 1000.0 < end


def test_a_router_is_asked_over_its_own_conversation_and_anew_where_that_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = list[str]()

    class Conversation:
        def __init__(self, error: LabError | None) -> None:
            self.error = error

        def order(self, what: str, *, within: float, **fields: Any) -> dict[str, Any]:
            if self.error is not None:
                raise self.error
            said.append("kept")
            return {"flow": None}

    def anew(engine: Any, world: Any, node: str, what: str, **fields: Any) -> dict[str, Any]:
        said.append(f"anew {what} {fields}")
        return {"flow": None}

    monkeypatch.setattr(session_module.standing, "order", anew)
    made: Any = Session.__new__(Session)
    made._engine = made._world = None
    kept, gone, never = Conversation(None), Conversation(RuntimeUnavailable("gone")), Conversation(LabError("no"))
    made._orders = {"home-router": kept, "flat-router": gone, "bank-router": never}
    for router in ("home-router", "flat-router", "park-router"):
        made._order(router, "tally", protocol="udp")
    assert said == ["kept", *["anew tally {'protocol': 'udp'}"] * 2]
    with pytest.raises(LabError, match="no"):
        made._order("bank-router", "tally")
