"""The control socket: lines in, lines out; a bad line is answered, not fatal; the end of a conversation is noticed."""

import asyncio
import gc
import json
from pathlib import Path

import uvloop

from lab.errors import ConfigError
from lab.node.control import ControlServer, Conversation, Order


async def converse(path: Path, *lines: bytes) -> list[dict[str, object]]:
    reader, writer = await asyncio.open_unix_connection(path)
    answers = []
    for line in lines:
        writer.write(line + b"\n")
        answers.append(json.loads(await reader.readline()))
    writer.close()
    return answers


def serve(tmp_path: Path, *lines: bytes) -> tuple[list[dict[str, object]], list[str]]:
    ended: list[str] = []

    def handler(order: Order, conversation: Conversation) -> Order:
        if order.get("order") != "status":
            raise ConfigError(f"unknown order {order.get('order')!r}")
        conversation.closed.append(lambda: ended.append("closed"))
        return {"state": "ready"}

    async def story() -> list[dict[str, object]]:
        await ControlServer(handler, tmp_path / "sock").start()
        answers = await converse(tmp_path / "sock", *lines)
        while lines[0].startswith(b'{"id": 1') and not ended:
            await asyncio.sleep(0)
        return answers

    return asyncio.run(asyncio.wait_for(story(), 5)), ended


def test_an_order_is_answered_under_its_number_and_the_end_is_noticed(tmp_path: Path) -> None:
    answers, ended = serve(tmp_path, b'{"id": 1, "order": "status"}')
    assert answers == [{"id": 1, "ok": True, "state": "ready"}]
    assert ended == ["closed"]


def test_bad_lines_are_answered_and_the_conversation_goes_on(tmp_path: Path) -> None:
    answers, _ = serve(tmp_path, b"nonsense", b"[1]", b'{"id": 3, "order": "fly"}', b'{"id": 4, "order": "status"}')
    assert [answer["ok"] for answer in answers] == [False, False, False, True]
    assert answers[2] == {"id": 3, "ok": False, "error": "unknown order 'fly'", "refused": True}


def test_the_socket_outlives_a_collection_of_garbage(tmp_path: Path) -> None:
    """uvloop closes a server that nobody refers to, and the programs run on uvloop."""

    async def story() -> list[dict[str, object]]:
        server = ControlServer(lambda order, conversation: {"state": "ready"}, tmp_path / "sock")
        await server.start()
        gc.collect()
        return await asyncio.wait_for(converse(tmp_path / "sock", b'{"id": 1}'), 5)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(story()) == [{"id": 1, "ok": True, "state": "ready"}]


def test_a_line_that_nests_thousands_deep_is_answered(tmp_path: Path) -> None:
    answers, _ = serve(tmp_path, b"[" * 5000, b'{"order": "status", "id": 2}')
    assert [answer["ok"] for answer in answers] == [False, True]
