"""Who cannot take part in a call, and the sentence that says why."""

from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import NotNow
from lab.harness import standing
from lab.harness.offline import engage, signed_in
from lab.runtime.world import Container, World
from lab.topology import parse

ROOT = Path(__file__).parents[3]


class Channel:
    """A control channel to a node that gives one answer, and what was asked of it."""

    asked: list[tuple[str, str]]

    def __init__(self, node: str, asked: list[tuple[str, str]] | None = None, **answer: Any) -> None:
        self.node, self.answer = node, answer
        self.asked = [] if asked is None else asked

    def order(self, order: str, **fields: object) -> dict[str, Any]:
        self.asked.append((self.node, order))
        return self.answer


def world(*stopped: str) -> World:
    topology = parse(ROOT / "compose" / "zoo.yml", {})
    containers = {
        node.name: Container(node.name, node.name, "exited" if node.name in stopped else "running")
        for node in topology.nodes
    }
    return World("lab", topology, containers, None)


def test_a_client_that_sits_at_a_supernode_is_there() -> None:
    signed_in(cast(Any, None), world(), cast(Any, Channel("linux-1-pc", state="ready", unplugged=False)))


@pytest.mark.parametrize(
    ("client", "stopped", "unplugged", "why"),
    [
        ("linux-1-pc", (), ("linux-1-pc",), "the cables of linux-1-pc are out; `lab plug linux-1-pc` puts them in"),
        ("linux-1-pc", (), ("linux-1-router",), "the cables of linux-1-router are out"),
        ("linux-1-pc", ("linux-1-router",), (), "its router linux-1-router is stopped; `lab start linux-1-router`"),
        ("mobile-1-pc", ("carrier-1-router",), (), "its router carrier-1-router is stopped"),
        ("linux-1-pc", ("supernode-1", "supernode-2"), (), "no supernode runs; `lab start supernode-1` starts one"),
        ("linux-1-pc", ("core",), (), "core is stopped, which all packets of the internet pass; `lab start core`"),
        ("linux-1-pc", ("supernode-1", "linux-2-router"), (), "it looks for a supernode and has none yet"),
    ],
)
def test_a_client_that_is_offline_says_what_stands_in_its_way(
    monkeypatch: pytest.MonkeyPatch, client: str, stopped: tuple[str, ...], unplugged: tuple[str, ...], why: str
) -> None:
    monkeypatch.setattr(standing, "order", lambda engine, world, node, order: {"unplugged": node in unplugged})
    channel = Channel(client, state="away", unplugged=client in unplugged)
    with pytest.raises(NotNow) as refused:
        signed_in(cast(Any, None), world(*stopped), cast(Any, channel))
    assert str(refused.value).startswith(f"{client} is offline: {why}")


def test_a_client_whose_cable_was_just_pulled_is_offline_though_it_has_not_noticed() -> None:
    with pytest.raises(NotNow, match="cables of linux-1-pc are out"):
        signed_in(cast(Any, None), world(), cast(Any, Channel("linux-1-pc", state="ready", unplugged=True)))


def test_clients_are_engaged_in_the_order_of_their_names() -> None:
    asked: list[tuple[str, str]] = []
    engage("call c1", cast(Any, [Channel("frank", asked, busy=None), Channel("bob", asked, busy=None)]))
    assert asked == [("bob", "engage"), ("frank", "engage")]


def test_a_client_that_is_in_a_call_is_named_with_it_and_nobody_else_is_asked() -> None:
    asked: list[tuple[str, str]] = []
    with pytest.raises(NotNow, match="bob is in matrix m2 already"):
        engage("call c1", cast(Any, [Channel("frank", asked, busy=None), Channel("bob", asked, busy="matrix m2")]))
    assert asked == [("bob", "engage")]
