"""A relay's orders to its deputy: none is lost, however slow it is, and one that has gone is told of."""

import asyncio
import json
import socket

from lab.node.orders import Orders
from lab.overlay.actions import CountOffloaded
from tests.unit.overlay.test_relay import FAR, NEAR, Bench

MANY = 2_000


def run(story: object) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))  # type: ignore[operator]


def test_a_deputy_that_is_behind_gets_every_order_in_turn() -> None:
    async def story() -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        its.setblocking(False)
        orders = Orders(Bench().relay, lambda: None, ours)
        for session in range(MANY):
            orders.do(CountOffloaded(session))
        loop = asyncio.get_running_loop()
        got = [json.loads(await loop.sock_recv(its, 4096)) for _ in range(MANY + 1)]
        assert [order["order"] for order in got[:2]] == ["begin", "count"]
        assert [order["session"] for order in got[1:]] == list(range(MANY))
        its.close()

    run(story)


def test_a_deputys_word_reaches_the_machine_and_its_end_as_well() -> None:
    async def story() -> None:
        bench, told = Bench(), asyncio.Event()
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        Orders(bench.relay, told.set, ours)
        its.send(json.dumps({"ready": True}).encode())
        await told.wait()
        bench.bind(NEAR, bench.token(0))
        bench.bind(FAR, bench.token(1))
        assert bench.relay.offloading.kernel and bench.relay.offloading.placed
        told.clear()
        its.close()
        await told.wait()
        assert bench.relay.offloading.why_not == "the deputy has ended"
        assert not bench.relay.offloading.placed

    run(story)
